/* -stats: counters as JSON. Everything but the host's seconds is the same in every run. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "bus/memory.h"
#include "cpu/vcpu.h"
#include "devices/e1000.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_net.h"
#include "machine/block_host.h"
#include "machine/machine.h"
#include "machine/pc.h"
#include "net/net.h"
#include "vmx/intercept.h"

u64
host_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000ull + (u64)now.tv_nsec;
}

static void
write_exits(FILE *out, const struct vmx_stats *stats, const char *indent)
{
	const char *separator = "";

	fprintf(out, "%s\"vm_entries\": %" PRIu64 ",\n", indent, stats->entries);
	fprintf(out, "%s\"failed_vm_entries\": %" PRIu64 ",\n", indent, stats->failed_entries);
	fprintf(out, "%s\"vm_exits\": {", indent);
	for (unsigned reason = 0; reason < VMX_REASONS; reason++) {
		const char *name = vmx_reason_name(reason);
		char number[16];

		if (!stats->exits[reason])
			continue;
		snprintf(number, sizeof(number), "%u", reason);
		fprintf(out, "%s\"%s\": %" PRIu64, separator, name ? name : number, stats->exits[reason]);
		separator = ", ";
	}
	fprintf(out, "}");
}

static void
write_exceptions(FILE *out, const u64 *count)
{
	const char *separator = "";

	fprintf(out, "\"exceptions\": {");
	for (unsigned vector = 0; vector < 32; vector++) {
		if (!count[vector])
			continue;
		fprintf(out, "%s\"%u\": %" PRIu64, separator, vector, count[vector]);
		separator = ", ";
	}
	fprintf(out, "}");
}

/* What the hypervisor executed, and what its guests did without it. */
static void
write_vmx(FILE *out, const struct vcpu *cpu)
{
	static const struct {
		const char *name;
		enum vmx_insn insn;
	} insns[] = {
		{"VMCLEAR", VMX_INSN_VMCLEAR}, {"VMPTRLD", VMX_INSN_VMPTRLD}, {"VMREAD", VMX_INSN_VMREAD}, {"VMWRITE", VMX_INSN_VMWRITE},
		{"VMLAUNCH", VMX_INSN_VMLAUNCH}, {"VMRESUME", VMX_INSN_VMRESUME}, {"INVEPT", VMX_INSN_INVEPT}, {"INVVPID", VMX_INSN_INVVPID},
	};
	const u64 *ept = cpu->stats.invept, *vpid = cpu->stats.invvpid;

	fprintf(out, ",\n      \"vmx_instructions\": {");
	for (unsigned i = 0; i < COUNT(insns); i++)
		fprintf(out, "\"%s\": %" PRIu64 ", ", insns[i].name, cpu->stats.vmx_insns[insns[i].insn]);
	fprintf(out, "\"INVEPT single\": %" PRIu64 ", \"INVEPT all\": %" PRIu64, ept[1], ept[2]);
	fprintf(out, ", \"INVVPID address\": %" PRIu64 ", \"INVVPID single\": %" PRIu64, vpid[0], vpid[1]);
	fprintf(out, ", \"INVVPID all\": %" PRIu64 ", \"INVVPID non-global\": %" PRIu64 "}", vpid[2], vpid[3]);
	fprintf(out, ",\n      \"in_guest\": {\"instructions\": %" PRIu64 ", \"tlb_fills\": %" PRIu64 ", ", cpu->stats.guest_instructions,
		cpu->stats.guest_tlb_fills);
	write_exceptions(out, cpu->stats.guest_exceptions);
	fprintf(out, "}");
}

static void
write_processor(FILE *out, const struct vcpu *cpu)
{

	fprintf(out, "    {\n      \"instructions\": %" PRIu64 ",\n", cpu_icount(cpu));
	fprintf(out,
		"      \"decoded\": %" PRIu64 ", \"blocks\": %" PRIu64 ", \"slow\": %" PRIu64 ",\n"
		"      \"tlb_fills\": %" PRIu64 ", \"tlb_flushes\": %" PRIu64 ",\n"
		"      \"interrupts\": %" PRIu64 ", \"halts\": %" PRIu64 ",\n      ",
		cpu->stats.decoded, cpu->stats.blocks, cpu->stats.slow, cpu->stats.tlb_fills, cpu->stats.tlb_flushes,
		cpu->stats.interrupts, cpu->stats.halts);
	write_exceptions(out, cpu->stats.exceptions);
	if (cpu->vmx) {
		fprintf(out, ",\n");
		write_exits(out, vmx_get_stats(cpu), "      ");
		write_vmx(out, cpu);
	}
	fprintf(out, "\n    }");
}

static void
write_card(FILE *out, const struct pc *pc, unsigned i)
{
	if (pc->nic[i]) {
		const struct e1000_counters *c = e1000_counters(pc->nic[i]);

		fprintf(out,
			"\n    {\"interrupts\": %" PRIu64 ", \"tx_dropped\": %" PRIu64 ", \"tx_bad_descriptors\": %" PRIu64
			", \"rx_bad_descriptors\": %" PRIu64 "}",
			c->interrupts, c->tx_dropped, c->tx_bad_descriptors, c->rx_bad_descriptors);
	} else {
		const struct virtio_net_counters *c = virtio_net_counters(pc->virtio_net[i]);
		const struct virtio_counters *common = virtio_net_common(pc->virtio_net[i]);

		fprintf(out,
			"\n    {\"interrupts\": %" PRIu64 ", \"notifications\": %" PRIu64 ", \"tx_frames\": %" PRIu64
			", \"rx_frames\": %" PRIu64 ", \"tx_bad\": %" PRIu64 ", \"rx_dropped\": %" PRIu64
			", \"rx_filtered\": %" PRIu64 ", \"broken_queues\": %" PRIu64 "}",
			common->interrupts, common->notifications, c->tx_frames, c->rx_frames, c->tx_bad, c->rx_dropped,
			c->rx_filtered, common->broken);
	}
}

static void
write_network(FILE *out, const struct machine *machine)
{
	for (unsigned i = 0; i < machine->config->nics; i++) {
		fprintf(out, "%s", i ? "," : "");
		write_card(out, machine->pc, i);
	}
	fprintf(out, "\n  ],\n  \"networks\": [");
	for (unsigned i = 0; i < machine->config->netdevs; i++) {
		const struct net_statistics *n = net_statistics(machine->backend[i]);

		fprintf(out,
			"%s\n    {\"kind\": \"%s\", \"frames_from_card\": %" PRIu64 ", \"bytes_from_card\": %" PRIu64
			", \"frames_to_card\": %" PRIu64 ", \"bytes_to_card\": %" PRIu64 ", \"dropped\": %" PRIu64 "}",
			i ? "," : "", net_kind(machine->backend[i]), n->frames_from_card, n->bytes_from_card,
			n->frames_to_card, n->bytes_to_card, n->dropped);
	}
	fprintf(out, "\n  ],\n");
}

static void
write_virtio_disk(FILE *out, const struct virtio_blk *blk)
{
	const struct virtio_blk_counters *c = virtio_blk_counters(blk);
	const struct virtio_counters *common = virtio_blk_common(blk);

	fprintf(out,
		", \"interrupts\": %" PRIu64 ", \"notifications\": %" PRIu64 ", \"requests\": %" PRIu64 ", \"failed_requests\": %" PRIu64
		", \"bad_requests\": %" PRIu64 ", \"broken_queues\": %" PRIu64,
		common->interrupts, common->notifications, c->requests, c->errors, c->bad, common->broken);
}

static void
write_disks(FILE *out, const struct machine *machine)
{
	const char *separator = "";

	fprintf(out, "  \"disks\": [");
	for (unsigned i = 0; i < CONFIG_DRIVES; i++) {
		const struct block_statistics *b = machine->drive[i] ? block_host_statistics(machine->drive[i]) : NULL;

		if (!b)
			continue;
		fprintf(out,
			"%s\n    {\"place\": %u, \"format\": \"%s\", \"reads\": %" PRIu64 ", \"bytes_read\": %" PRIu64
			", \"writes\": %" PRIu64 ", \"bytes_written\": %" PRIu64 ", \"flushes\": %" PRIu64 ", \"errors\": %" PRIu64,
			separator, i, block_host_format(machine->drive[i]), b->reads, b->bytes_read, b->writes, b->bytes_written,
			b->flushes, b->errors);
		if (i >= CONFIG_IDE_DRIVES)
			write_virtio_disk(out, machine->pc->virtio_blk[i - CONFIG_IDE_DRIVES]);
		fprintf(out, "}");
		separator = ",";
	}
	fprintf(out, "\n  ],\n");
}

void
machine_write_stats(struct machine *machine, FILE *out)
{
	const struct cpus *cpus = machine->cpus;
	struct vmx_stats sum = {0};
	u64 now = events_now(machine->events), instructions = cpus_icount(cpus);
	double seconds = (double)(host_nanoseconds() - machine->host_start) / 1e9;
	double cpu_seconds = (double)clock() / CLOCKS_PER_SEC;

	/* A run that ends inside a slice: the events' time is that of its beginning. */
	for (unsigned i = 0; i < cpus->count; i++)
		now = MAX(now, cpu_time(cpus->cpu[i]));
	fprintf(out, "{\n  \"version\": \"%s\",\n  \"exit_status\": %d,\n", NESTBOX_VERSION, machine->status);
	fprintf(out, "  \"instructions\": %" PRIu64 ",\n  \"cycles\": %" PRIu64 ",\n", instructions, now);
	fprintf(out, "  \"guest_seconds\": %.9f,\n", (double)now / (double)events_hz(machine->events));
	fprintf(out, "  \"host_seconds\": %.3f,\n  \"host_cpu_seconds\": %.3f,\n", seconds, cpu_seconds);
	fprintf(out, "  \"mips\": %.1f,\n", cpu_seconds > 0 ? (double)(instructions - machine->start_instructions) / cpu_seconds / 1e6 : 0);
	fprintf(out, "  \"dma_dropped\": %" PRIu64 ",\n", machine->memory->dma_dropped);
	for (unsigned i = 0; i < cpus->count; i++) {
		const struct vmx_stats *stats = cpus->cpu[i]->vmx ? vmx_get_stats(cpus->cpu[i]) : NULL;

		for (unsigned reason = 0; stats && reason < VMX_REASONS; reason++)
			sum.exits[reason] += stats->exits[reason];
		sum.entries += stats ? stats->entries : 0;
		sum.failed_entries += stats ? stats->failed_entries : 0;
	}
	write_exits(out, &sum, "  ");
	fprintf(out, ",\n  \"cards\": [");
	write_network(out, machine);
	write_disks(out, machine);
	fprintf(out, "  \"processors\": [\n");
	for (unsigned i = 0; i < cpus->count; i++) {
		write_processor(out, cpus->cpu[i]);
		fprintf(out, "%s\n", i + 1 < cpus->count ? "," : "");
	}
	fprintf(out, "  ]\n}\n");
}
