// SPDX-License-Identifier: Apache-2.0

// Package cniplugin speaks CNI: it turns what skel read into a Config, hands over to
// package pod, and prints the result or an error that has a code and a sentence for a
// cluster admin.
package cniplugin

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/failure"
	"github.com/bulkhead-cni/bulkhead/pkg/hcn"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
)

// Main carries out the verb in CNI_COMMAND and prints its result or error on
// stdout; after an error it exits with status 1. An empty CNI_NETNS is "none".
// When all went well but an admin should know more, a line on stderr tells, which
// libcni hands on to the runtime's log.
func Main(n node.Node, about string) {
	verb := os.Getenv("CNI_COMMAND")
	if caller := os.Getenv(ipam.Running); caller != "" {
		fail(types.NewError(types.ErrInvalidNetworkConfig, fmt.Sprintf("the IPAM plugin %q calls bulkhead, which called it: correct ipam.type", caller), ""))
	}
	if (verb == "ADD" || verb == "CHECK") && os.Getenv("CNI_NETNS") == "" {
		// skel takes an empty one for a mistake of the runtime, and so does that of
		// a delegated IPAM plugin. This Setenv cannot fail.
		_ = os.Setenv("CNI_NETNS", "none")
	}
	if verb == "VERSION" {
		skel.PluginMainFuncs(Funcs(n), version.All, about)
		return
	}
	args := &skel.CmdArgs{ContainerID: os.Getenv("CNI_CONTAINERID"), IfName: os.Getenv("CNI_IFNAME"), Args: os.Getenv("CNI_ARGS")}
	text, e := readStdin(verb, args)
	if e != nil {
		fail(e)
	}
	r := begin(verb, args, text, n.Lock)
	e = skel.PluginMainFuncsWithError(plugin{n, r}.funcs(), version.All, about)
	if e != nil {
		_ = e.Print() // nobody is left to tell
	}
	r.end(e)
	if e != nil {
		os.Exit(1)
	}
}

// fail ends the process as the specification has it.
func fail(e *types.Error) {
	_ = e.Print() // nobody is left to tell
	os.Exit(1)
}

// readStdin looks at the configuration before skel does, whose errors about a text that
// is not what it should be name types of Go, and gives it skel without a byte order mark.
func readStdin(verb string, args *skel.CmdArgs) ([]byte, *types.Error) {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, types.NewError(types.ErrIOFailure, subject(verb, args)+": the configuration cannot be read from standard input", err.Error())
	}
	if text, err = config.Plain(text); err != nil {
		return nil, cniError(verb, args, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, types.NewError(types.ErrIOFailure, subject(verb, args)+": no pipe for the configuration", err.Error())
	}
	os.Stdin = r
	go func() {
		_, _ = w.Write(text) // skel reads it all, or the process ends
		_ = w.Close()
	}()
	return text, nil
}

// Funcs returns the verbs of the plugin, which write no log.
func Funcs(n node.Node) skel.CNIFuncs { return plugin{node: n}.funcs() }

type plugin struct {
	node node.Node
	// record is nil where nobody writes what the verb did.
	record *record
}

func (p plugin) funcs() skel.CNIFuncs {
	return skel.CNIFuncs{
		Add:    guarded("ADD", p.add),
		Del:    guarded("DEL", p.del),
		Check:  guarded("CHECK", p.check),
		Status: guarded("STATUS", p.status),
		GC:     guarded("GC", p.gc),
	}
}

func (p plugin) add(args *skel.CmdArgs) error {
	c, err := config.Parse(args.StdinData, envOf(args))
	if err != nil {
		return err
	}
	if c.Type == config.TypeACL {
		return p.addACLs(c)
	}
	return p.within(c, c.Timeouts.Add, func(ctx context.Context, v pod.Verbs) error {
		res, err := v.Add(ctx, c)
		for _, n := range res.Notices {
			notice("ADD", attachmentOf(args)+": "+n)
		}
		if err != nil {
			return err
		}
		return types.PrintResult(result(res, args.IfName), c.CNIVersion)
	})
}

func (p plugin) del(args *skel.CmdArgs) error {
	c, err := config.ParseLenient(args.StdinData, envOf(args))
	if err != nil {
		return err
	}
	if c.Type == config.TypeACL {
		// The rules go with their endpoint, which the plugin before deletes after this.
		// What DEL would find by the addresses in prevResult can be another pod's by now,
		// or one that another container of the pod still uses.
		return nil
	}
	return p.within(c, c.Timeouts.Del, func(ctx context.Context, v pod.Verbs) error {
		return v.Del(ctx, c)
	})
}

func (p plugin) check(args *skel.CmdArgs) error {
	c, err := config.Parse(args.StdinData, envOf(args))
	if err != nil {
		return err
	}
	if c.Type == config.TypeACL {
		return p.checkACLs(c)
	}
	promised, err := c.Promise()
	if err != nil {
		return err
	}
	return p.within(c, c.Timeouts.Add, func(ctx context.Context, v pod.Verbs) error {
		return v.Check(ctx, c, promised)
	})
}

func (p plugin) gc(args *skel.CmdArgs) error {
	c, err := config.ParseLenient(args.StdinData, config.Env{})
	if err != nil {
		return err
	}
	if c.Type == config.TypeACL {
		return nil // the rules go with their endpoints
	}
	valid, err := c.ValidAttachments()
	if err != nil {
		return err
	}
	return p.within(c, c.Timeouts.Add, func(ctx context.Context, v pod.Verbs) error {
		return v.GC(ctx, c, valid)
	})
}

// status parses as strictly as ADD does: a configuration that ADD would refuse
// is not ready for pods.
func (p plugin) status(args *skel.CmdArgs) error {
	c, err := config.Parse(args.StdinData, config.Env{})
	if err != nil {
		return err
	}
	if c.Type == config.TypeACL {
		return p.statusACLs(c)
	}
	return p.within(c, c.Timeouts.Status, func(ctx context.Context, v pod.Verbs) error {
		return v.Status(ctx, c)
	})
}

// notice writes a line on stderr.
func notice(verb, text string) {
	line := strings.ReplaceAll(verb+" "+text, "\n", "; ")
	fmt.Fprintf(os.Stderr, "bulkhead: %s\n", failure.Printable(line))
}

// within connects to HNS and carries out a verb in its time.
func (p plugin) within(c config.Config, limit time.Duration, verb func(context.Context, pod.Verbs) error) error {
	p.record.reached(c)
	verbs, err := p.node.Verbs(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return verb(hcn.WithTrace(ctx, p.record.trace()), verbs)
}

func envOf(args *skel.CmdArgs) config.Env {
	return config.Env{ContainerID: args.ContainerID, IfName: args.IfName, NetNS: args.Netns, Args: args.Args}
}
