// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane"
)

// Status is what a cluster is doing.
type Status struct {
	// State is "running" when everything was started.
	State string
	// Failed says why it cannot run, empty if it can.
	Failed string
	Nodes  []NodeStatus
}

// NodeStatus is what a machine of the cluster is doing. One of Linux has no Profile.
type NodeStatus struct {
	Name, Address, Profile string
	On, HNS                bool
	Networks, Endpoints    int
	Pods                   int
}

func (s *Supervisor) status() Status {
	s.mu.Lock()
	out := Status{State: s.state}
	if s.failed != nil {
		out.Failed = s.failed.Error()
	}
	nodes := maps.Clone(s.nodes)
	s.mu.Unlock()
	for _, n := range s.cluster.All() {
		at := NodeStatus{Name: n.Name, Address: n.Address().String(), Profile: n.Profile}
		if made := nodes[n.Name]; made != nil {
			at.On = made.on()
			if state, err := made.hnsState(); err == nil {
				at.HNS, at.Networks, at.Endpoints = !state.Stopped, len(state.Networks), len(state.Endpoints)
				at.Pods = len(state.Containers)
			}
		}
		out.Nodes = append(out.Nodes, at)
	}
	return out
}

// handler serves the commands.
func (s *Supervisor) handler(end func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(s.status()) })
	mux.HandleFunc("POST /end", func(http.ResponseWriter, *http.Request) { end() })
	mux.HandleFunc("POST /node/{name}/{verb}", func(w http.ResponseWriter, q *http.Request) {
		n, err := s.node(q.PathValue("name"))
		if err == nil {
			err = n.do(q.Context(), q.PathValue("verb"))
		}
		answer(w, err)
	})
	mux.HandleFunc("GET /node/{name}/state", func(w http.ResponseWriter, q *http.Request) {
		n, err := s.node(q.PathValue("name"))
		var state hnsemu.State
		if err == nil {
			state, err = n.hnsState()
		}
		if err != nil {
			answer(w, err)
			return
		}
		_ = json.NewEncoder(w).Encode(state)
	})
	mux.HandleFunc("GET /node/{name}/counters", func(w http.ResponseWriter, q *http.Request) {
		n, err := s.node(q.PathValue("name"))
		var counters []Counter
		if err == nil {
			counters, err = n.counters()
		}
		if err != nil {
			answer(w, err)
			return
		}
		_ = json.NewEncoder(w).Encode(counters)
	})
	return mux
}

// Counter is how many packets a rule of an endpoint has matched, or with an empty Rule, how
// many an enforcement point has dropped.
type Counter struct {
	dataplane.Match
	Packets uint64
}

// hnsState returns what the node's HNS has.
func (n *node) hnsState() (hnsemu.State, error) {
	host, err := n.host()
	if err != nil {
		return hnsemu.State{}, err
	}
	return host.State()
}

// counters reads those of a node's pods.
func (n *node) counters() ([]Counter, error) {
	state, err := n.hnsState()
	if err != nil {
		return nil, err
	}
	out := []Counter{}
	for _, ns := range state.Namespaces {
		if ns.Compartment == 0 || strings.HasPrefix(ns.Type, "HostDefault") {
			continue
		}
		ids := slices.Clone(ns.Endpoints)
		for _, e := range ns.Lost {
			ids = append(ids, e.ID)
		}
		drops, dropsErr := n.plane.Drops(ns.ID, ids...)
		matches, err := n.plane.Matches(ns.ID, ids...)
		if err := errors.Join(dropsErr, err); err != nil {
			return nil, err
		}
		for by, packets := range drops {
			out = append(out, Counter{dataplane.Match{Drop: by}, packets})
		}
		for by, packets := range matches {
			if by.Rule != "" {
				out = append(out, Counter{by, packets})
			}
		}
	}
	return out, nil
}

func (s *Supervisor) node(name string) (*node, error) {
	n, err := s.cluster.Node(name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	made := s.nodes[n.Name]
	s.mu.Unlock()
	if made == nil {
		return nil, fmt.Errorf("%s is not there yet", n.Name)
	}
	return made, nil
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// Client speaks to the supervisor of a cluster.
type Client struct{ http *http.Client }

// NewClient returns a client of the cluster in a folder. Whether it runs is seen when it is
// asked.
func NewClient(dir string) Client {
	return Client{&http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		folder, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		defer folder.Close()
		return (&net.Dialer{}).DialContext(ctx, "unix", socket(folder))
	}}}}
}

// Status returns what the cluster is doing. It fails when no supervisor runs.
func (c Client) Status(ctx context.Context) (Status, error) {
	var out Status
	return out, c.get(ctx, "http://cluster/status", &out)
}

// HNS returns everything that HNS has on a node.
func (c Client) HNS(ctx context.Context, node string) (hnsemu.State, error) {
	var out hnsemu.State
	return out, c.get(ctx, "http://cluster/node/"+node+"/state", &out)
}

// Counters returns what the rules of a node's pods have done.
func (c Client) Counters(ctx context.Context, node string) ([]Counter, error) {
	var out []Counter
	return out, c.get(ctx, "http://cluster/node/"+node+"/counters", &out)
}

func (c Client) get(ctx context.Context, url string, into any) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := refused(answer); err != nil {
		return err
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

// End asks the cluster to end.
func (c Client) End(ctx context.Context) error { return post(ctx, c.http, "http://cluster/end") }

// Node carries out a verb for a node.
func (c Client) Node(ctx context.Context, name, verb string) error {
	return post(ctx, c.http, "http://cluster/node/"+name+"/"+verb)
}

func post(ctx context.Context, client *http.Client, url string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return refused(answer)
}

func refused(answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return errors.New(strings.TrimSpace(string(text)))
}
