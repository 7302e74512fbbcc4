// SPDX-License-Identifier: Apache-2.0
/*
 * Steering: each frame goes either to our AF_XDP socket or to the kernel. The program decides
 * whose a frame is and nothing else: it never rewrites, never answers and keeps no flows.
 *
 * What is only ours is dropped when no socket is there (the process died, or is not up yet),
 * because the kernel would answer it with RST or route it raw. What the kernel can serve in our
 * place passes then.
 *
 * The map layout is a contract with bpf/abi; a change there or here counts up LAYOUT in the abi.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ask static __always_inline

#define EXTENSION_HEADERS_MAX 8
#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV6_OFFSET_MASK 0xfff8
#define IPV6_MORE_FRAGMENTS 0x0001
#define PROTO_UNKNOWN 255 /* reserved by IANA: no packet of interest carries it */

/* Counters: what became of a frame, and why. Names and order: abi's Verdict. */
enum verdict {
	/* Outcomes: one per frame. */
	PASSED,
	REDIRECTED,
	DROPPED_NO_SOCKET,
	PASSED_NO_SOCKET,
	/* Causes that make a frame ours: dropped without a socket. */
	ARP,
	NDP,
	OWNED,
	PORT_RANGE,
	ICMP_ERROR,
	FRAGMENT,
	NAT_REPLY,
	NAT_ICMP_ERROR,
	/* Causes that make a frame ours: passed without a socket. */
	NAT_FRAGMENT,
	EGRESS,
	/* Causes that leave a frame to the kernel. */
	HOST,
	UNKNOWN_FRAGMENT,
	OTHER,
	VERDICTS,
};

/* What an address is to us; an address can be several of these. */
enum address_flag {
	ADDRESS_WHOLE = 1,   /* all of it is ours */
	ADDRESS_SHARED = 2,  /* the port ranges of `port_ranges` are ours */
	ADDRESS_HOST = 4,    /* Linux owns it */
	ADDRESS_BACKEND = 8, /* a backend of a service in mode nat */
};

enum coverage { COVERED = 1, EXCLUDED = 2 };

enum part { COMPLETE, FIRST_FRAGMENT, LATER_FRAGMENT };

struct addr { __u32 word[4]; }; /* network order; IPv4 is IPv4-mapped */
struct port { __u32 base, queues; };
struct fragment_key { struct addr src, dst; __u32 id, proto; };
struct nat_key { struct addr addr; __be16 port; __u8 proto, zero; };
/* Keys of longest-prefix maps; prefix_len counts the bits that follow it. */
struct range_key { __u32 prefix_len; struct addr addr; __u8 proto, zero; __be16 port; };
struct source_key { __u32 prefix_len; struct addr addr; };
struct target_key { __u32 prefix_len; __u32 policy; struct addr addr; };
struct instance { __u32 layout, program; __u64 object, netns; };

#define PORTS_MAX 32
#define QUEUES_MAX 64 /* per port */

#define MAP(KIND, KEY, VALUE, MAX, FLAGS)    \
	__uint(type, BPF_MAP_TYPE_##KIND);   \
	__type(key, KEY);                    \
	__type(value, VALUE);                \
	__uint(max_entries, MAX);            \
	__uint(map_flags, FLAGS)

/* By interface index. */
struct { MAP(HASH, __u32, struct port, PORTS_MAX, 0);
} ports SEC(".maps");
/* By base of the port + receive queue. */
struct { MAP(XSKMAP, __u32, __u32, PORTS_MAX * QUEUES_MAX, 0);
} sockets SEC(".maps");
/* To address_flags. */
struct { MAP(HASH, struct addr, __u32, 262144, BPF_F_NO_PREALLOC);
} addresses SEC(".maps");
/* Ports of shared addresses, as aligned blocks: what is found is ours. */
struct { MAP(LPM_TRIE, struct range_key, __u32, 65536, BPF_F_NO_PREALLOC);
} port_ranges SEC(".maps");
/* Datagrams to shared addresses whose first fragment was ours. */
struct { MAP(LRU_HASH, struct fragment_key, __u32, 16384, 0);
} fragments SEC(".maps");
/* To the number of the policy. */
struct { MAP(LPM_TRIE, struct source_key, __u32, 262144, BPF_F_NO_PREALLOC);
} egress_sources SEC(".maps");
/* To coverage. */
struct { MAP(LPM_TRIE, struct target_key, __u32, 65536, BPF_F_NO_PREALLOC);
} egress_targets SEC(".maps");
/* What is found is a backend; its address has ADDRESS_BACKEND too. */
struct { MAP(HASH, struct nat_key, __u32, 262144, BPF_F_NO_PREALLOC);
} nat_backends SEC(".maps");
struct { MAP(PERCPU_ARRAY, __u32, __u64, VERDICTS, 0);
} verdicts SEC(".maps");
/* Written and read by user space only. */
struct { MAP(ARRAY, __u32, struct instance, 1, 0);
} instance SEC(".maps");

struct packet {
	struct addr src, dst;
	__u32 id;   /* of the datagram that this is a fragment of */
	__u32 l4;   /* offset of what follows the IP headers */
	__u8 proto; /* of what follows the IP headers */
	__u8 part;
	__u8 v6;
};

struct l4_ports { __be16 src, dst; };
struct icmp { __u8 type, code; __be16 check, id, seq; };
struct arp_v4 { __be16 htype, ptype; __u8 hlen, plen; __be16 op; __u8 sha[6], spa[4], tha[6], tpa[4]; };
struct vlan { __be16 tci, proto; };
struct ndp { __u8 type, code; __be16 check; __u32 zero; struct addr target; };

ask void count(__u32 verdict)
{
	__u64 *counter = bpf_map_lookup_elem(&verdicts, &verdict);

	if (counter)
		*counter += 1;
}

ask struct addr mapped(__be32 v4)
{
	return (struct addr){ { 0, 0, bpf_htonl(0xffff), v4 } };
}

ask bool is_mapped(const struct addr *a)
{
	return !a->word[0] && !a->word[1] && a->word[2] == bpf_htonl(0xffff);
}

ask bool same(const struct addr *a, const struct addr *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] &&
	       a->word[2] == b->word[2] && a->word[3] == b->word[3];
}

ask __u32 flags_of(const struct addr *a)
{
	__u32 *flags = bpf_map_lookup_elem(&addresses, a);

	return flags ? *flags : 0;
}

ask bool read_v4(const struct iphdr *ip, __u32 at, struct packet *p)
{
	__u16 frag = bpf_ntohs(ip->frag_off);

	if (ip->version != 4 || ip->ihl < 5)
		return false;
	p->src = mapped(ip->saddr);
	p->dst = mapped(ip->daddr);
	p->id = ip->id;
	p->l4 = at + ip->ihl * 4;
	p->proto = ip->protocol;
	p->part = frag & IPV4_OFFSET_MASK ? LATER_FRAGMENT :
		  frag & IPV4_MORE_FRAGMENTS ? FIRST_FRAGMENT : COMPLETE;
	p->v6 = 0;
	return true;
}

/* Mapped addresses do not belong on the wire; taken at their word they would reach the keys of
 * IPv4 addresses. */
ask bool read_v6(const struct ipv6hdr *ip, __u32 at, struct packet *p)
{
	__builtin_memcpy(&p->src, &ip->saddr, sizeof(p->src));
	__builtin_memcpy(&p->dst, &ip->daddr, sizeof(p->dst));
	p->id = 0;
	p->l4 = at + sizeof(*ip);
	p->proto = ip->nexthdr;
	p->part = COMPLETE;
	p->v6 = 1;
	return ip->version == 6 && !is_mapped(&p->src) && !is_mapped(&p->dst);
}

/* Moves l4 and proto behind the extension headers; too many, or cut off: PROTO_UNKNOWN. */
ask void walk_extensions(struct xdp_md *ctx, struct packet *p)
{
	__u8 h[8];

	for (int i = 0; i <= EXTENSION_HEADERS_MAX; i++) {
		bool fragment = p->proto == IPPROTO_FRAGMENT;
		__u32 len;

		if (p->proto != IPPROTO_HOPOPTS && p->proto != IPPROTO_ROUTING && !fragment &&
		    p->proto != IPPROTO_DSTOPTS && p->proto != IPPROTO_AH)
			return;
		if (i == EXTENSION_HEADERS_MAX || bpf_xdp_load_bytes(ctx, p->l4, h, sizeof(h)))
			break;
		len = fragment ? 8 : p->proto == IPPROTO_AH ? (h[1] + 2) * 4 : (h[1] + 1) * 8;
		p->proto = h[0];
		p->l4 += len;
		if (fragment) {
			__u16 frag = h[2] << 8 | h[3];

			__builtin_memcpy(&p->id, h + 4, sizeof(p->id));
			p->part = frag & IPV6_OFFSET_MASK ? LATER_FRAGMENT :
				  frag & IPV6_MORE_FRAGMENTS ? FIRST_FRAGMENT : COMPLETE;
			if (p->part == LATER_FRAGMENT)
				return; /* what follows is the middle of something */
		}
	}
	p->proto = PROTO_UNKNOWN;
}

/* Ports of TCP and UDP; the identifier of an ICMP echo of the given direction, as both ports. */
ask bool read_ports(struct xdp_md *ctx, const struct packet *p, bool reply, struct l4_ports *out)
{
	struct icmp icmp;

	if (p->part == LATER_FRAGMENT)
		return false;
	if (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP)
		return !bpf_xdp_load_bytes(ctx, p->l4, out, sizeof(*out));
	if (p->proto != (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ||
	    bpf_xdp_load_bytes(ctx, p->l4, &icmp, sizeof(icmp)))
		return false;
	out->src = out->dst = icmp.id;
	return icmp.type == (p->v6 ? reply ? 129 : 128 : reply ? 0 : 8);
}

/* An ICMP error: destination unreachable, too big, time exceeded, parameter problem. */
ask bool is_icmp_error(struct xdp_md *ctx, const struct packet *p)
{
	__u8 type;

	if (p->part == LATER_FRAGMENT || p->proto != (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ||
	    bpf_xdp_load_bytes(ctx, p->l4, &type, sizeof(type)))
		return false;
	return p->v6 ? type >= 1 && type <= 4 : type == 3 || type == 11 || type == 12;
}

/* The packet that an ICMP error is about, as far as it is quoted. */
ask bool read_quoted(struct xdp_md *ctx, const struct packet *p, struct packet *quoted)
{
	__u32 at = p->l4 + sizeof(struct icmp);
	struct ipv6hdr v6;
	struct iphdr v4;

	if (!is_icmp_error(ctx, p))
		return false;
	if (!p->v6)
		return !bpf_xdp_load_bytes(ctx, at, &v4, sizeof(v4)) && read_v4(&v4, at, quoted);
	if (bpf_xdp_load_bytes(ctx, at, &v6, sizeof(v6)) || !read_v6(&v6, at, quoted))
		return false;
	walk_extensions(ctx, quoted);
	return true;
}

ask bool is_our_port(const struct addr *addr, __u8 proto, __be16 port)
{
	struct range_key key = { .prefix_len = 160, .addr = *addr, .proto = proto, .port = port };

	return bpf_map_lookup_elem(&port_ranges, &key) != NULL;
}

ask bool is_backend(const struct addr *addr, __u8 proto, __be16 port)
{
	struct nat_key key = { .addr = *addr, .port = port, .proto = proto };

	return bpf_map_lookup_elem(&nat_backends, &key) != NULL;
}

/* RFC 8200 4.5 names an IPv6 datagram by addresses and identification alone. */
ask struct fragment_key fragment_key(const struct packet *p)
{
	return (struct fragment_key){ p->src, p->dst, p->id, p->v6 ? 0 : p->proto };
}

/* A shared address: by destination port, or by the port that the quoted packet was sent from. */
ask __u32 judge_port(struct xdp_md *ctx, const struct packet *p)
{
	struct packet quoted;
	struct l4_ports ports;

	if (read_ports(ctx, p, true, &ports) && is_our_port(&p->dst, p->proto, ports.dst))
		return PORT_RANGE;
	if (read_quoted(ctx, p, &quoted) && same(&quoted.src, &p->dst) &&
	    read_ports(ctx, &quoted, false, &ports) &&
	    is_our_port(&quoted.src, quoted.proto, ports.src))
		return ICMP_ERROR;
	return HOST;
}

/* The first fragment speaks for the later ones; one that comes before it goes to the kernel. */
ask __u32 judge_shared(struct xdp_md *ctx, const struct packet *p)
{
	struct fragment_key key = fragment_key(p);
	__u32 cause, one = 1;

	if (p->part == LATER_FRAGMENT)
		return bpf_map_lookup_elem(&fragments, &key) ? FRAGMENT : UNKNOWN_FRAGMENT;
	cause = judge_port(ctx, p);
	if (p->part == FIRST_FRAGMENT) {
		/* Identifications come round again: the host's datagram must not follow ours. */
		if (cause == HOST)
			bpf_map_delete_elem(&fragments, &key);
		else
			bpf_map_update_elem(&fragments, &key, &one, BPF_ANY);
	}
	return cause;
}

/* What a backend of a nat service says, and what is said about packets sent to one. */
ask __u32 judge_nat(struct xdp_md *ctx, const struct packet *p)
{
	struct packet quoted;
	struct l4_ports ports;

	if (flags_of(&p->src) & ADDRESS_BACKEND) {
		if (p->part == LATER_FRAGMENT)
			return NAT_FRAGMENT;
		if (read_ports(ctx, p, true, &ports) && is_backend(&p->src, p->proto, ports.src))
			return NAT_REPLY;
	}
	if (read_quoted(ctx, p, &quoted) && (flags_of(&quoted.dst) & ADDRESS_BACKEND) &&
	    read_ports(ctx, &quoted, false, &ports) &&
	    is_backend(&quoted.dst, quoted.proto, ports.dst))
		return NAT_ICMP_ERROR;
	return OTHER;
}

ask __u32 judge_egress(const struct packet *p)
{
	struct source_key source = { .prefix_len = 128, .addr = p->src };
	struct target_key target = { .prefix_len = 160, .addr = p->dst };
	__u32 *policy = bpf_map_lookup_elem(&egress_sources, &source);
	__u32 *coverage;

	if (!policy)
		return OTHER;
	target.policy = *policy;
	coverage = bpf_map_lookup_elem(&egress_targets, &target);
	return coverage && *coverage == COVERED ? EGRESS : OTHER;
}

/* Solicitations of a wholly owned address, and advertisements that claim one. */
ask __u32 judge_multicast(struct xdp_md *ctx, const struct packet *p)
{
	struct ndp ndp;

	if (p->part != COMPLETE || p->proto != IPPROTO_ICMPV6 ||
	    bpf_xdp_load_bytes(ctx, p->l4, &ndp, sizeof(ndp)))
		return OTHER;
	if ((ndp.type != 135 && ndp.type != 136) || is_mapped(&ndp.target))
		return OTHER;
	return flags_of(&ndp.target) & ADDRESS_WHOLE ? NDP : OTHER;
}

ask __u32 judge_ip(struct xdp_md *ctx, struct packet *p, bool to_group)
{
	__u32 flags = flags_of(&p->dst);
	__u32 cause;

	if (flags & ADDRESS_WHOLE)
		return OWNED;
	if (flags == ADDRESS_HOST)
		return HOST; /* the host's own traffic takes the shortest way */
	if (p->v6)
		walk_extensions(ctx, p);
	if (flags & ADDRESS_SHARED)
		return judge_shared(ctx, p);
	if (flags & ADDRESS_HOST)
		return HOST;
	if (p->v6 && (p->dst.word[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000))
		return judge_multicast(ctx, p);
	if (to_group)
		return OTHER; /* RFC 1812 5.3.4: not to be forwarded */
	cause = judge_nat(ctx, p);
	return cause == OTHER ? judge_egress(p) : cause;
}

ask __u32 judge_arp(struct xdp_md *ctx, __u32 at)
{
	struct arp_v4 arp;
	struct addr target;
	__be32 tpa;

	if (bpf_xdp_load_bytes(ctx, at, &arp, sizeof(arp)) ||
	    arp.htype != bpf_htons(1) || arp.ptype != bpf_htons(ETH_P_IP) || arp.hlen != 6 ||
	    arp.plen != 4 || (arp.op != bpf_htons(1) && arp.op != bpf_htons(2)))
		return OTHER;
	__builtin_memcpy(&tpa, arp.tpa, sizeof(tpa));
	target = mapped(tpa);
	return flags_of(&target) & ADDRESS_WHOLE ? ARP : OTHER;
}

/* Ethernet and IP headers are read in place: they lie in the first buffer of a frame. One 802.1Q
 * tag may stand between them; a frame with two, or with one of a provider, is the kernel's. */
ask __u32 judge(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct vlan *tag = (void *)(eth + 1);
	__u32 at = sizeof(*eth);
	struct ipv6hdr *v6;
	struct iphdr *v4;
	struct packet p;
	bool to_group;
	__be16 proto;

	if ((void *)(eth + 1) > end)
		return OTHER;
	to_group = eth->h_dest[0] & 1;
	proto = eth->h_proto;
	if (proto == bpf_htons(ETH_P_8021Q)) {
		if ((void *)(tag + 1) > end)
			return OTHER;
		proto = tag->proto;
		at += sizeof(*tag);
	}
	v4 = data + at;
	v6 = data + at;
	switch (proto) {
	case bpf_htons(ETH_P_ARP):
		return judge_arp(ctx, at);
	case bpf_htons(ETH_P_IP):
		if ((void *)(v4 + 1) > end || !read_v4(v4, at, &p))
			return OTHER;
		return judge_ip(ctx, &p, to_group);
	case bpf_htons(ETH_P_IPV6):
		if ((void *)(v6 + 1) > end || !read_v6(v6, at, &p))
			return OTHER;
		return judge_ip(ctx, &p, to_group);
	default:
		return OTHER;
	}
}

/* Later fragments of a nat backend can be anybody's, and egress traffic has a way without us. */
ask int settle(struct xdp_md *ctx, const struct port *port, __u32 cause)
{
	__u32 queue = ctx->rx_queue_index;
	int fallback = cause == NAT_FRAGMENT || cause == EGRESS ? XDP_PASS : XDP_DROP;
	int action = fallback;

	if (queue < port->queues)
		action = bpf_redirect_map(&sockets, port->base + queue, fallback);
	count(action == XDP_REDIRECT ? REDIRECTED :
	      action == XDP_DROP ? DROPPED_NO_SOCKET : PASSED_NO_SOCKET);
	return action;
}

SEC("xdp.frags")
int steer(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct port *port = bpf_map_lookup_elem(&ports, &ifindex);
	__u32 cause = port ? judge(ctx) : OTHER;

	count(cause);
	if (port && cause >= ARP && cause <= EGRESS)
		return settle(ctx, port, cause);
	count(PASSED);
	return XDP_PASS;
}

char _license[] SEC("license") = "Apache-2.0";
