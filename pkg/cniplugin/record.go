// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/bounded"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hcn"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/journal"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

// record is what the journal is told of a verb. A nil *record takes nothing down.
type record struct {
	wants config.Journal
	lock  nodelock.Lock
	entry journal.Entry
	// config is that of a verb that got as far as HNS.
	config *config.Config
}

// begin starts the record of a verb, before anything is known to be right.
func begin(verb string, args *skel.CmdArgs, stdin []byte, lock nodelock.Lock) *record {
	r := &record{lock: lock, entry: journal.Entry{
		Verb: verb, ContainerID: args.ContainerID, IfName: args.IfName, Start: time.Now(),
		// As libcni sets them (cni pkg/invoke/raw_exec.go).
		Traceparent: os.Getenv("TRACEPARENT"), Tracestate: os.Getenv("TRACESTATE"), Baggage: os.Getenv("BAGGAGE"),
	}}
	r.wants, r.entry.Network = config.ParseJournal(stdin)
	r.entry.PodNamespace, r.entry.Pod = podOf(args.Args)
	if r.wants.Log == config.LogDebug {
		r.entry.Calls = &journal.Calls{}
	}
	return r
}

// reached takes down what is configured, when the verb is about to ask HNS.
func (r *record) reached(c config.Config) {
	if r != nil {
		r.config = &c
	}
}

// trace returns what is to be told of native calls, nil for nobody.
func (r *record) trace() hcn.Trace {
	if r == nil || r.entry.Calls == nil {
		return nil
	}
	return r.entry.Calls.Trace
}

// patience is how long a verb, whose result is out, waits for a disk that hangs. On a node
// that is short of CPU, which is when its log is wanted, half a second is not enough.
const patience = 2 * time.Second

// end writes the record. A verb neither fails nor waits because it cannot be written: a
// line on stderr tells.
func (r *record) end(e *types.Error) {
	if r.wants == (config.Journal{}) {
		return
	}
	r.entry.Took = time.Since(r.entry.Start)
	if e != nil {
		r.entry.Code, r.entry.Error, r.entry.Details = e.Code, e.Msg, e.Details
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := bounded.Do(ctx, func() (_ struct{}, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("a bug: %v", p)
			}
		}()
		return struct{}{}, errors.Join(r.log(), r.count())
	})
	if err != nil {
		notice(r.entry.Verb, fmt.Sprintf("the log or the metrics cannot be written: %v", err))
	}
}

func (r *record) log() error {
	if r.wants.Log == config.LogOff {
		return nil
	}
	return journal.Log{File: r.wants.LogFile, Lock: r.lock}.Write(r.entry)
}

func (r *record) count() error {
	if r.wants.MetricsFile == "" {
		return nil
	}
	s := journal.Sample{Network: r.entry.Network, Verb: r.entry.Verb, Took: r.entry.Took, Code: r.entry.Code}
	if r.config != nil && slices.Contains([]string{"ADD", "DEL", "GC"}, r.entry.Verb) {
		used, _ := ipam.Usage(*r.config) // that is the verb's to tell
		for _, u := range used {
			s.Ranges = append(s.Ranges, journal.Range(u))
		}
	}
	return journal.Metrics{File: r.wants.MetricsFile, Lock: r.lock}.Add(s)
}
