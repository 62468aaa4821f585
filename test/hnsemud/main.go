// SPDX-License-Identifier: Apache-2.0

// Command hnsemud serves an emulated Windows node on loopback TCP, to programs
// under Wine and to the Linux build of Bulkhead alike, and tells a person what
// goes on in a node that is being served. It adds nothing to pkg/hnsemu: what
// is served is decided there.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/wire"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hnsemud:", err)
		stop()
		os.Exit(1)
	}
}

// run serves a node until ctx ends, or carries out the verb that comes first.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return ask(args[0], args[1:], stdout)
	}
	return serve(ctx, args, stdin, stdout)
}

func usage(flags *flag.FlagSet, synopsis string) {
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), synopsis)
		flags.PrintDefaults()
	}
}

func serve(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("hnsemud", flag.ExitOnError)
	usage(flags, "usage: hnsemud [flags]         serve an emulated node\n"+verbUsage())
	listen := flags.String("listen", "127.0.0.1:0", "loopback `address` to listen on")
	profile := flags.String("profile", "2025", "Windows `release` to be: 2019, 2022 or 2025")
	latency := flags.Duration("latency", 0, "delay every call by this `time`")
	serialise := flags.Bool("serialise", false, "serve calls that change anything one at a time")
	withStdin := flags.Bool("exit-with-stdin", false, "end when stdin is closed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	host, err := newHost(*profile, *latency, *serialise)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if *withStdin {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go func() {
			_, _ = io.Copy(io.Discard, stdin) // a broken stdin is a closed one
			cancel()
		}()
	}
	fmt.Fprintf(stdout, "listening on %s\n", l.Addr())
	return wire.Serve(ctx, l, host)
}

func newHost(profile string, latency time.Duration, serialise bool) (*hnsemu.Host, error) {
	p, err := hnsemu.ProfileNamed(profile)
	if err != nil {
		return nil, err
	}
	host, err := wine.NewHost(p)
	if err != nil {
		return nil, err
	}
	return host, host.SetLatency(latency, serialise)
}
