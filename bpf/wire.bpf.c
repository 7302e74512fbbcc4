// SPDX-License-Identifier: Apache-2.0
/*
 * The programs of the benchmark on the wire: a generator, a sink, and the way into the socket of
 * the bare forwarder. The kernel runs `generate` in its test run with live frames: each run makes
 * one UDP packet and sends it through an interface, without a socket buffer and without a system
 * call. Frames come back into use with whatever the device under test wrote into them, so every
 * header is written anew.
 *
 * The words of `settings` and `progress` are a contract with bench/src/wire/generator.rs.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ask static __always_inline

#define MAGIC 0x50725471       /* in every packet, behind the stamp */
#define FLOWS_PER_ADDRESS 256  /* then comes the next source address */
#define FIRST_PORT 10000
#define LATE_NS 1000000        /* further behind than this, the schedule starts anew */
#define WAIT_TURNS (1 << 17)

struct settings {
	__u32 stop;        /* not 0: the rest of the repeats is over quickly */
	__u32 ifindex;     /* where it sends */
	__u32 gap_ns;      /* from packet to packet; 0: as fast as it goes */
	__u32 flows;       /* mask of the flow's number */
	__u32 source;      /* first address, host order */
	__u32 target;      /* first address, host order */
	__u32 targets;     /* mask: flows are spread over so many addresses */
	__u32 port;        /* destination */
	__u32 probe_port;  /* destination of packets with a time stamp */
	__u32 probe_every; /* one of so many has one; 0: none */
	__u32 length;      /* of the frame without checksum; 0: IMIX */
	__u32 macs[3];     /* destination, source */
};

struct progress {
	__u64 sent, bytes, due, number;
};

struct payload {
	__u64 stamp; /* CLOCK_MONOTONIC in ns */
	__u32 magic;
	__u32 zero;
};

/* Where the parts of a frame lie; it is at least 60 bytes long. */
#define IP_AT sizeof(struct ethhdr)
#define UDP_AT (IP_AT + sizeof(struct iphdr))
#define PAYLOAD_AT (UDP_AT + sizeof(struct udphdr))
#define LEAST (PAYLOAD_AT + sizeof(struct payload))

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct settings);
	__uint(max_entries, 1);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct progress);
	__uint(max_entries, 1);
} progress SEC(".maps");

/* Packets and bytes that the sink has seen. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 2);
} received SEC(".maps");

/* By receive queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 64);
} rings SEC(".maps");

static long still_early(__u32 turn, void *due)
{
	(void)turn;
	return bpf_ktime_get_ns() >= *(const __u64 *)due;
}

/* Waits until the packet is due. */
ask void pace(const struct settings *s, struct progress *p)
{
	__u64 now = bpf_ktime_get_ns(), due = p->due;

	if (now > due + LATE_NS)
		due = now;
	if (now < due)
		bpf_loop(WAIT_TURNS, still_early, &due, 0);
	p->due = due + s->gap_ns;
}

/* 7 : 4 : 1 of 64, 594 and 1518 bytes, checksum included. */
ask __u32 imix(__u64 number)
{
	__u32 at = number % 12;

	return at < 7 ? 60 : at < 11 ? 590 : 1514;
}

ask __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

ask void write_ip(struct iphdr *ip, __u32 source, __u32 target, __u16 length)
{
	__u32 sum = 0x4500 + length + 0x4000 + (64 << 8 | IPPROTO_UDP) + (source >> 16) +
		    (source & 0xffff) + (target >> 16) + (target & 0xffff);

	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0;
	ip->tot_len = bpf_htons(length);
	ip->id = 0;
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = 64;
	ip->protocol = IPPROTO_UDP;
	ip->check = bpf_htons(fold(sum));
	ip->saddr = bpf_htonl(source);
	ip->daddr = bpf_htonl(target);
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	__u32 zero = 0, flow, length, target;
	struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	struct progress *p = bpf_map_lookup_elem(&progress, &zero);
	struct payload *payload;
	struct ethhdr *eth;
	struct udphdr *udp;
	bool probe;
	void *data;

	if (!s || !p || s->stop)
		return XDP_DROP;
	if (s->gap_ns)
		pace(s, p);
	length = s->length ? s->length : imix(p->number);
	if (ctx->data_end - ctx->data != length &&
	    bpf_xdp_adjust_tail(ctx, length - (ctx->data_end - ctx->data)))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	if (data + LEAST > (void *)(long)ctx->data_end)
		return XDP_DROP;
	eth = data;
	udp = data + UDP_AT;
	payload = data + PAYLOAD_AT;
	flow = p->number & s->flows;
	target = s->target + (flow & s->targets);
	probe = s->probe_every && p->number % s->probe_every == 0;
	for (int i = 0; i < 3; i++)
		((__u32 *)eth)[i] = s->macs[i];
	eth->h_proto = bpf_htons(ETH_P_IP);
	write_ip(data + IP_AT, s->source + flow / FLOWS_PER_ADDRESS, target, length - IP_AT);
	udp->source = bpf_htons(FIRST_PORT + flow % FLOWS_PER_ADDRESS);
	udp->dest = bpf_htons(probe ? s->probe_port : s->port);
	udp->len = bpf_htons(length - UDP_AT);
	udp->check = 0; /* allowed in IPv4; nobody on the way needs to look at the payload */
	payload->magic = MAGIC;
	payload->stamp = probe ? bpf_ktime_get_ns() : 0;
	p->number += 1;
	p->sent += 1;
	p->bytes += length;
	return bpf_redirect(s->ifindex, 0);
}

ask void add(__u32 key, __u64 more)
{
	__u64 *counter = bpf_map_lookup_elem(&received, &key);

	if (counter)
		*counter += more;
}

/* Counts what `generate` made, wherever it was sent on the way, and drops it. */
SEC("xdp")
int sink(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct payload *payload = data + PAYLOAD_AT;

	if (data + LEAST > (void *)(long)ctx->data_end || payload->magic != MAGIC)
		return XDP_PASS;
	add(0, 1);
	add(1, ctx->data_end - ctx->data);
	return XDP_DROP;
}

/* Everything to the socket of the queue; ARP and the like goes to the kernel. */
SEC("xdp")
int take(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	return bpf_redirect_map(&rings, ctx->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Apache-2.0";
