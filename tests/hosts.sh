#!/bin/sh
# Scenarios on several hosts, by examples/parallel.sh over ssh and by examples/slurm.sh. The hosts are all this one: an sshd of the test's own, to
# which two names lead, and a Slurm cluster of one node, both on ports and in a directory of their own.
#	tests/hosts.sh ssh|slurm
# Run in the build directory.
. "$(dirname "$0")/lib.sh"
shown="out log"
[ $# = 1 ] || usage
export PATH="$PATH:/usr/sbin:/sbin"
started=
trap 'for pid in $started; do kill $pid 2>/dev/null; done; wait; rm -rf "$work"' EXIT

# needs PACKAGE COMMAND...
needs()
{
	package=$1
	shift
	for command in "$@"; do
		command -v "$command" >/dev/null || skip "no $command (Debian package $package)"
	done
}

# within SECONDS COMMAND...: does it succeed in time?
within()
{
	tries=$(($1 * 5))
	shift
	until "$@" >"$work/probe" 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || { cat "$work/probe"; return 1; }
		sleep 0.2
	done
}

# port FROM: one that nobody listens on.
port()
{
	number=$((20000 + $$ % 10000 + $1))
	while ss -Hltn "sport = :$number" | grep -q .; do
		number=$((number + 7))
	done
	echo $number
}

in_background()
{
	"$@" >>"$work/log" 2>&1 </dev/null &
	started="$! $started"
}

assemble ends "$work/ends"
mkdir "$work/scenarios"
for n in 1 2 3 4 5; do
	echo "machine {m = 16, nodefaults = true, serial = 'null', kernel = args.ends, append = 'l'}:expect('hello')" >"$work/scenarios/good$n.lua"
done
echo "fail('too bad')" >"$work/scenarios/bad.lua"
# A relative name, as somebody would give one.
ln -s "$work" "$work/here"
tool=$(realpath ./nestbox-test)
example=$(realpath "$source/examples")
cd "$work" || exit 1
options="-arg ends=here/ends"

# The results are those of one run.
judge()
{
	says all_results_are_there "1..6"
	says a_failure_is_found "not ok 1 - bad"
	says and_where_it_lies "left: '$work/results/1/bad'"
	verdict the_rest_passes [ "$(grep -c '^ok ' "$work/out")" = 5 ]
	verdict there_is_a_report grep -q 'tests="6" failures="1"' "$work/results/junit.xml"
}

case $1 in
ssh)
	needs parallel parallel
	needs openssh-server sshd ssh ssh-keygen
	needs iproute2 ss
	listen=$(port 0)
	ssh-keygen -q -t ed25519 -N '' -f "$work/host"
	ssh-keygen -q -t ed25519 -N '' -f "$work/user"
	# Of root's it wants this directory, which the service makes.
	[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
	cat >"$work/sshd_config" <<-EOT
		ListenAddress 127.0.0.1:$listen
		HostKey $work/host
		AuthorizedKeysFile $work/user.pub
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		StrictModes no
		UsePAM no
		PidFile none
	EOT
	cat >"$work/ssh_config" <<-EOT
		Host alpha beta
			HostName 127.0.0.1
			Port $listen
			HostKeyAlias here
			IdentityFile $work/user
			IdentitiesOnly yes
			UserKnownHostsFile $work/known
			BatchMode yes
		Host gone
			HostName 127.0.0.1
			Port 1
			BatchMode yes
	EOT
	echo "here $(cat "$work/host.pub")" >"$work/known"
	in_background "$(command -v sshd)" -D -e -f "$work/sshd_config"
	verdict there_is_a_way_in within 20 ssh -F "$work/ssh_config" alpha true
	export PARALLEL_SSH="ssh -F $work/ssh_config" PARALLEL_HOME="$work/parallel"
	mkdir "$work/parallel"
	export SHARDS=4
	verdict over_ssh ends 1 both timeout 120 "$example/parallel.sh" "$tool" scenarios results 2/alpha 1/beta : -- $options
	judge
	verdict both_names_were_used [ "$(grep -c 'Accepted publickey' "$work/log")" -ge 3 ]
	rm scenarios/bad.lua
	verdict a_host_that_is_gone_is_no_pass ends 3 both timeout 120 "$example/parallel.sh" "$tool" scenarios results 1/gone -- $options
	says and_the_parts_are_named "did not run to their ends ($work/results/*.tap): 1 2 3 4"
	;;
slurm)
	needs munge munged
	needs slurmctld slurmctld
	needs slurmd slurmd
	needs slurm-client sbatch sinfo scontrol
	needs iproute2 ss
	host=$(hostname -s)
	user=$(id -un)
	mkdir "$work/state" "$work/spool" "$work/munge"
	chmod 755 "$work" # munged wants everybody to find its socket, and nobody to change the way there
	head -c 1024 /dev/urandom >"$work/key"
	chmod 600 "$work/key"
	cat >"$work/slurm.conf" <<-EOT
		ClusterName=nestbox
		SlurmctldHost=$host(127.0.0.1)
		SlurmctldPort=$(port 100)
		SlurmdPort=$(port 200)
		SlurmUser=$user
		SlurmdUser=$user
		AuthInfo=socket=$work/munge/socket
		StateSaveLocation=$work/state
		SlurmdSpoolDir=$work/spool
		SlurmctldPidFile=$work/slurmctld.pid
		SlurmdPidFile=$work/slurmd.pid
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		JobAcctGatherType=jobacct_gather/none
		MpiDefault=none
		SelectType=select/cons_tres
		SelectTypeParameters=CR_CPU
		SlurmdParameters=config_overrides
		SchedulerParameters=sched_interval=1
		ReturnToService=2
		NodeName=alpha NodeHostname=$host NodeAddr=127.0.0.1 CPUs=2
		PartitionName=ci Nodes=alpha Default=YES State=UP
	EOT
	export SLURM_CONF="$work/slurm.conf"
	in_background munged --foreground --force --key-file="$work/key" --socket="$work/munge/socket" --pid-file="$work/munge/pid" \
		--log-file="$work/munge/log" --seed-file="$work/munge/seed"
	within 20 test -S "$work/munge/socket" || skip "munged does not start here: $(tail -n 1 "$work/log")"
	in_background slurmctld -D -i
	in_background slurmd -D -N alpha
	if ! within 60 sh -c 'sinfo -h -o %T | grep -q idle'; then
		tail -n 20 "$work/log"
		verdict there_is_a_cluster false
		exit 1
	fi
	export SBATCH_PARTITION=ci
	export SHARDS=4
	verdict as_a_job_array ends 1 both timeout 180 "$example/slurm.sh" "$tool" scenarios results -- $options
	judge
	rm scenarios/bad.lua
	cat >"$work/tool" <<-EOT
		#!/bin/sh
		case "\$*" in
		*"--shard 2/"*) kill -9 \$PPID ;;
		esac
		exec "$tool" "\$@"
	EOT
	chmod +x "$work/tool"
	verdict a_task_that_is_killed_is_no_pass ends 3 both timeout 180 "$example/slurm.sh" "$work/tool" scenarios results -- $options
	says and_it_is_named "did not run to their ends ($work/results/*.tap): 2"
	says the_others_are_reported "1..4"
	;;
*)
	usage
	;;
esac
exit $failed
