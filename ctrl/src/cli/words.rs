pub const LONG_ABOUT: &str = "\
Portreeve balances TCP and UDP services in front of servers. It takes packets from network
interfaces past the kernel (AF_XDP), answers for service addresses (ARP, NDP, ping), and spreads
connections with Maglev.

One TOML file says everything. The shortest that works:

  [[port]]
  name = \"ens5\"

  [[service]]
  name = \"web\"
  vip = \"10.10.200.1\"
  ports = [{ port = 80 }]
  backends = [\"172.16.1.93\", \"172.16.2.115\"]";

pub const AFTER_HELP: &str = "\
A first day:
  portreeve check gateway.toml          is it right, and how much memory will it take?
  portreeve run --config gateway.toml   forward (as root)
  portreeve status                      is it alive, what does it drop?
  portreeve services                    who gets which share?
  portreeve diff gateway.toml new.toml  what would the change move?

A running gateway reads its file again when it changes and on SIGHUP; a wrong file changes nothing.
Exit codes: 0 fine, 1 problems, 2 wrong usage, 3 flows are left (drain --wait).";

pub const RUN_LONG: &str = "\
Forward packets as a configuration file says, until SIGTERM or SIGINT.

Needs root, and a bpffs outside of any private mount namespace for the pins:
  mount -t bpf bpf /sys/fs/bpf

The steering program stays attached when the process ends, so that a restart loses as little as
possible; `portreeve detach` removes it. SIGHUP or a change of the file reloads it.

  portreeve run --config /etc/portreeve/gateway.toml";

pub const CHECK_LONG: &str = "\
Look for everything that is wrong with a configuration file, and say what to write instead. All
mistakes are named at once, each with file, line and column. If there are none, say how much memory
the configuration will take.

Looks at this host too: do the interfaces exist, is every backend reached through one of them, do
source ports clash with the host's own? --offline leaves that out, to check a file elsewhere.

  portreeve check gateway.toml
  portreeve check --offline gateway.toml && scp gateway.toml gw1:/etc/portreeve/";

pub const DIFF_LONG: &str = "\
Say what a change would do before it is made: services, backends and ports that come and go, and
for each service the share of its flows that would reach another backend.

Established flows of `snat` services stay where they are, unless their backend is removed: then
they are reset. New flows go where the new table says.

  portreeve diff /etc/portreeve/gateway.toml new.toml";

pub const FLOWS_LONG: &str = "\
Ask a running gateway for connections: who talks to which backend through which source address.

  portreeve flows --service web
  portreeve flows --json --limit 1000 | jq '.[] | select(.idle_ms > 60000)'";

pub const DRAIN_LONG: &str = "\
Give a backend, or all services of a VIP, no new flows from now on; established ones stay. A backend
is drained in every service that it is in; with a port, only in services that send to that port.
`undrain` takes it back. It outlives a reload, and ends with the process: for longer than that,
write weight = 0 into the configuration.

--wait returns when no open flow is left (exit code 0) or when the limit is over (exit code 3), and
says how many are left meanwhile. Connections that clients keep open have to be closed by them or
by the backend.

  portreeve drain 172.16.1.93 --wait 5m && systemctl restart shop
  portreeve drain '[fd00:16::93]:8080'
  portreeve drain 10.10.200.1";

pub const UNDRAIN_LONG: &str = "\
Give a drained backend or VIP new flows again, named as it was drained.

  portreeve undrain 172.16.1.93";

pub const VIP_LONG: &str = "\
Say which addresses this gateway announces: by hand, or by a program such as keepalived that decides
which gateway of several has them.

`release` stops all answers to ARP and NDP for the address at once. Packets that still arrive are
forwarded for gateway.linger, then the kernel gets them. `hold` announces the address again, by
gratuitous ARP or an unsolicited advertisement too, also when it was announced all along. `all`
means every address, those that a reload brings included.

With --for, the address is released when the time is over, unless `hold` is given again before:
whoever decides has to stay alive for it.

This outlives a reload and ends with the process; how it begins says gateway.vips_at_start.

  portreeve vip release 10.10.200.1
  portreeve vip hold all";

pub const TRACE_LONG: &str = "\
Walk through the tables of a running gateway as a packet would, without sending one, and say each
decision in words: where the packet comes in, whether the XDP program takes it, service, connection,
backend and why, source address, next hop, the way out, the way back; and where it would stop, why,
and what to do.

Without a port, the question is who answers for the address, and pings it. A backend's reply is
asked for by the backend as --from and our address and port towards it as --to.

  portreeve trace --from 10.10.200.5:40000 --to 10.10.200.1:80/tcp
  portreeve trace --from '[fd00::5]' --to '[fd00::1]:53/udp' --json
  portreeve trace --from 10.10.200.5 --to 10.10.200.1

Exit code: 0 when the packet reaches its end, 1 when it stops, or cannot be asked about.";

pub const DOCTOR_LONG: &str = "\
Look at this host with the eyes of the gateway, whether one runs or not: kernel, rights, memory,
clock; interfaces, queues without sockets, XDP programs of others, offloads, MTUs; addresses, routes,
neighbours that do not answer; and what the running gateway says. Each finding says what to do and
ends with a word in brackets that stays the same, for scripts.

Without a file, the configuration of the running gateway is taken. Nothing is changed, and nothing
is sent without --probe.

  portreeve doctor
  portreeve doctor /etc/portreeve/gateway.toml -o json | jq '.[] | select(.severity == \"error\")'

Exit code: 0 when nothing is wrong, 1 with warnings, 2 with errors.";
pub const CAPTURE_LONG: &str = "\
Write what the workers of a running gateway receive, send and drop to a file that tshark and
Wireshark read (pcapng). A packet that was dropped says why in its comment, one that another worker
owns says so. What the steering program leaves to the kernel is not seen: tcpdump sees that.

  portreeve capture --write drops.pcapng drop and not arp
  portreeve capture host 10.0.0.9 and port 80 | tshark -r - -T fields -e frame.comment
  portreeve capture --seconds 10 --snaplen 9018 --write web.pcapng service web

While nobody captures, it costs nothing. What comes faster than it can be written is counted and left
out; workers never wait. One capture runs at a time.";

pub const DETACH_LONG: &str = "\
Take the steering program of a stopped gateway off its interfaces and remove its pins. From then on
the kernel sees all packets again, those for the gateway's addresses too. Refused while a gateway
runs with this directory.

  systemctl stop portreeve && portreeve detach";
