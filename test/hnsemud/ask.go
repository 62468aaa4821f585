// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/wire"
)

// verb is something to ask of a node that is being served.
type verb struct {
	name, does string
	run        func(c *wire.Client, args []string, w io.Writer) error
}

func verbs() []verb {
	return []verb{
		{"dump", "print every object", dump},
		{"log", "print the calls so far", log},
		{"counts", "count the calls so far by function", counts},
		{"stop", "stop the HNS service", plain((*wire.Client).StopService)},
		{"start", "start the HNS service", plain((*wire.Client).StartService)},
		{"restart", "restart the HNS service", plain((*wire.Client).RestartService)},
		{"reboot", "restart the node", plain((*wire.Client).Reboot)},
		{"fault", "make a call go wrong: fault '{\"Proc\":\"HNSCall\",\"Nth\":1,\"Kind\":\"hang\"}'", fault},
		{"clear", "take back all faults", plain((*wire.Client).ClearFaults)},
	}
}

func verbUsage() string {
	var b strings.Builder
	for _, v := range verbs() {
		fmt.Fprintf(&b, "       hnsemud %-8s --addr  %s\n", v.name, v.does)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func ask(name string, args []string, w io.Writer) error {
	i := slices.IndexFunc(verbs(), func(v verb) bool { return v.name == name })
	if i < 0 {
		return fmt.Errorf("no verb %q; see hnsemud --help", name)
	}
	v := verbs()[i]
	flags := flag.NewFlagSet("hnsemud "+name, flag.ExitOnError)
	usage(flags, "usage: hnsemud "+name+" --addr ADDRESS: "+v.does)
	addr := flags.String("addr", os.Getenv("HNSEMU_ADDR"), "`address` of the node; default $HNSEMU_ADDR")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *addr == "" {
		return fmt.Errorf("%s: neither --addr nor HNSEMU_ADDR says where the node is", name)
	}
	c, err := wire.Dial(*addr)
	if err != nil {
		return err
	}
	defer c.Close()
	return v.run(c, flags.Args(), w)
}

// plain makes a verb of a call without arguments or results.
func plain(do func(*wire.Client) error) func(*wire.Client, []string, io.Writer) error {
	return func(c *wire.Client, _ []string, _ io.Writer) error { return do(c) }
}

func dump(c *wire.Client, _ []string, w io.Writer) error {
	text, err := c.Dump()
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	return err
}

func log(c *wire.Client, _ []string, w io.Writer) error {
	calls, err := c.Calls()
	if err != nil {
		return err
	}
	for _, call := range calls {
		fmt.Fprintf(w, "%d %s %s(%s)%s\n", call.Seq, call.Client, call.Proc, strings.Join(call.Args, ", "), outcome(call))
	}
	return nil
}

// outcome says how a call ended, nothing when it simply succeeded.
func outcome(call hnsemu.LoggedCall) string {
	var b strings.Builder
	if call.Pending {
		b.WriteString(" pending")
	}
	if call.Err != "" {
		b.WriteString(" " + call.Err)
	}
	if call.Code != 0 {
		b.WriteString(" " + call.Code.String())
	}
	if call.Reason != "" {
		b.WriteString(": " + call.Reason)
	}
	if call.Fault != "" {
		b.WriteString(" [" + call.Fault + "]")
	}
	return b.String()
}

func counts(c *wire.Client, _ []string, w io.Writer) error {
	got, err := c.Counts()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	for _, proc := range slices.Sorted(maps.Keys(got)) {
		fmt.Fprintf(table, "%s\t%d\n", proc, got[proc])
	}
	return table.Flush()
}

func fault(c *wire.Client, args []string, _ io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("fault: %d arguments instead of one JSON object", len(args))
	}
	_, err := c.Control("AddFault", json.RawMessage(args[0]))
	return err
}
