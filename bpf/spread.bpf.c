// SPDX-License-Identifier: Apache-2.0
/*
 * For tests: spreads what an interface sends over its queues, packet after packet, whatever flow they
 * are of, so that the owner of a flow gets few of its packets by itself. Attached where a router of the
 * lab sends to the gateway (`tc ... egress bpf direct-action`).
 *
 * The kernel takes the queue of a packet that it forwards from where it came in; that is what is written
 * here, one more than the queue's number. For packets of its own sockets it does not ask.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

/* A multiple of every number of queues that tests use; the kernel takes the rest of the division. */
#define ROUND 12

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} number SEC(".maps");

SEC("tc")
int spread(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u32 *next = bpf_map_lookup_elem(&number, &key);

	/* Two cores may take one number: that is still spread. */
	if (next)
		skb->queue_mapping = (*next)++ % ROUND + 1;
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Apache-2.0";
