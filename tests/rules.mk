# Not in Makefile.am, where automake would take this for a rule of its own: what must have run before the rules are counted.
tests/check-rules.sh.log: $(UNIT_TESTS:=.log) $(FUZZ_TESTS:=.log) tests/vmx-guests.sh.log
