// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dataplane

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/dataplane/netspace"
)

// Unknowns choose between two ways of Windows where the real one is not known. The zero
// value chooses the likelier ones.
type Unknowns struct {
	// RulesSeeBackend: a pod's outbound Switch ACLs see the backend that a load balancer
	// with direct server return chose, instead of the service's address.
	RulesSeeBackend bool
	// ChangedRulesCut: when a pod's rules change, all of its connections are cut, and not
	// only new ones judged by the new rules.
	ChangedRulesCut bool
	// EqualRulesCut: the same for an update of an endpoint's policies that changes nothing.
	EqualRulesCut bool
	// TunnelNeedsPod: the way to an overlay's remote subnets is there only while a pod of
	// the node is on the network (projectcalico/calico#8569).
	TunnelNeedsPod bool
}

// Plane is the data plane of a node.
type Plane struct {
	unknowns Unknowns
	dir      string
	node     netns.NsHandle
	wire     wire

	mu       sync.Mutex
	switches map[string]netSwitch
	trunks   map[string]*liveTrunk // by the names of their switches
	tunnels  map[string]tunnel
	pods     map[string]*livePod
	// nat is the node's table, and what it holds.
	nat        translator
	translates translation
}

// livePod is a pod that is there.
type livePod struct {
	ns       netns.NsHandle
	rules    firewall
	services translator
	pod
	// written says that its tables have been written once.
	written bool
}

// Open returns the data plane of the node whose network namespace is the file at netns.
// It keeps the files of the pods' network namespaces in dir, which must be its own alone,
// and removes what an earlier one left there and in the node's namespace. It needs root.
func Open(dir, netnsPath string, u Unknowns) (*Plane, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the data plane makes network namespaces and needs root")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ns, err := netns.GetFromPath(netnsPath)
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", netnsPath, err)
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		ns.Close()
		return nil, err
	}
	nat, err := openTable(nodeTable, int(ns))
	if err != nil {
		h.Close()
		ns.Close()
		return nil, err
	}
	p := &Plane{unknowns: u, dir: dir, node: ns, wire: wire{h}, switches: map[string]netSwitch{}, trunks: map[string]*liveTrunk{}, tunnels: map[string]tunnel{}, pods: map[string]*livePod{}, nat: translator{nat}}
	if err := errors.Join(p.removeLeavings(), netspace.Do(ns, prepareNode)); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// removeLeavings removes what a Plane that was killed left.
func (p *Plane) removeLeavings() error {
	failed := []error{p.wire.clear()}
	if err := p.nat.remove(); err != nil {
		failed = append(failed, fmt.Errorf("the data plane needs a kernel with nftables: %w", err))
	}
	files, err := os.ReadDir(p.dir)
	failed = append(failed, err)
	for _, f := range files {
		failed = append(failed, netspace.Remove(filepath.Join(p.dir, f.Name())))
	}
	return errors.Join(failed...)
}

// Close removes everything.
func (p *Plane) Close() error {
	err := errors.Join(p.Apply(hnsemu.State{}), p.nat.remove())
	p.release()
	return err
}

func (p *Plane) release() {
	p.nat.close()
	p.wire.h.Close()
	p.node.Close()
}

// Namespace returns the file of the network namespace of an HCN namespace. It exists while
// the HCN namespace has a compartment.
func (p *Plane) Namespace(id string) string { return filepath.Join(p.dir, id) }

// Apply makes the node what the state says. What cannot be made does not keep the rest
// from being made; the next Apply tries it again.
func (p *Plane) Apply(s hnsemu.State) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	want := planOf(s, p.unknowns)
	var failed []error
	for _, id := range slices.Sorted(maps.Keys(p.pods)) {
		if want.pods[id] == nil {
			failed = append(failed, p.removePod(id))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.switches)) {
		if have, ok := p.switches[name]; ok && reflect.DeepEqual(have, want.switches[name]) {
			continue
		}
		err := p.wire.addSwitch(name, want.switches[name])
		if err == nil && want.switches[name].answers {
			err = netspace.Do(p.node, func() error { return answerBeyond(name) })
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		p.switches[name] = want.switches[name]
	}
	failed = append(failed, p.applyTrunks(want.switches), p.applyTunnels(want.tunnels))
	for _, id := range slices.Sorted(maps.Keys(want.pods)) {
		if err := p.applyPod(id, want.pods[id]); err != nil {
			// Half of a pod is no pod: the next call makes it anew.
			failed = append(failed, fmt.Errorf("namespace %s: %w", id, err), p.removePod(id))
		}
	}
	if !reflect.DeepEqual(p.translates, want.nat) {
		err := p.nat.writeNode(want.nat)
		if err == nil {
			err = changed(p.translates.forwards, want.nat.forwards).forget(p.wire.h)
		}
		if err == nil {
			p.translates = want.nat
		}
		failed = append(failed, err)
	}
	for _, name := range slices.Sorted(maps.Keys(p.switches)) {
		if _, ok := want.switches[name]; !ok {
			failed = append(failed, p.wire.remove(name))
			delete(p.switches, name)
		}
	}
	return errors.Join(failed...)
}

// applyTunnels makes the tunnels what they are to be.
func (p *Plane) applyTunnels(want map[string]tunnel) error {
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(p.tunnels)) {
		if _, ok := want[name]; !ok {
			failed = append(failed, p.wire.remove(name))
			delete(p.tunnels, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if reflect.DeepEqual(p.tunnels[name], want[name]) {
			continue
		}
		if err := p.wire.addTunnel(name, p.tunnels[name], want[name]); err != nil {
			// Half of a tunnel is none: the next call makes it anew.
			failed = append(failed, err, p.wire.remove(name))
			delete(p.tunnels, name)
			continue
		}
		p.tunnels[name] = want[name]
	}
	return errors.Join(failed...)
}

// Addresses returns the addresses of the pods that are there, but for those on nat and
// overlay networks. Who routes between nodes needs a way to each.
func (p *Plane) Addresses() map[netip.Addr]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[netip.Addr]bool{}
	for _, live := range p.pods {
		for _, l := range live.links {
			for _, a := range l.addresses {
				if !l.private {
					out[a.Addr()] = true
				}
			}
		}
	}
	return out
}

// applyPod makes a pod what it is to be. Its rules are there before a link that they are
// about, and as long as it.
func (p *Plane) applyPod(id string, want *pod) error {
	live := p.pods[id]
	if live == nil {
		ns, err := netspace.New(p.Namespace(id))
		if err != nil {
			return err
		}
		live = &livePod{ns: ns}
		p.pods[id] = live
		rules, err := openTable(rulesTable, int(ns))
		if err != nil {
			return err
		}
		live.rules, live.services = firewall{rules}, translator{rules.beside(servicesTable)}
		if err := netspace.Do(ns, preparePod); err != nil {
			return err
		}
		live.links = map[string]link{}
	}
	if live.written && reflect.DeepEqual(live.pod, *want) {
		return nil
	}
	sameRules, sameServices := live.written && live.sameRules(want), live.written && live.sameServices(want)
	for name, has := range live.links {
		if is, ok := want.links[name]; !ok || !has.sameWire(is) {
			if err := p.wire.removeLink(name, has); err != nil {
				return err
			}
			delete(live.links, name)
		}
	}
	if !sameRules {
		if err := live.rules.write(want); err != nil {
			return err
		}
	}
	if live.written && live.cuts(want) {
		if err := netspace.Do(live.ns, func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }); err != nil {
			return fmt.Errorf("cut the connections: %w", err)
		}
	}
	if !sameServices {
		if err := live.services.writePod(want); err != nil {
			return err
		}
		if err := netspace.Do(live.ns, func() error { return changed(live.forwards, want.forwards).forget(&netlink.Handle{}) }); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.links)) {
		has, ok := live.links[name]
		live.links[name] = want.links[name] // also when only half of it comes to be
		if !ok {
			if err := p.wire.addLink(name, want.links[name], live.ns); err != nil {
				return err
			}
		}
		if most := want.links[name].egress; has.egress != most {
			if err := netspace.Do(live.ns, func() error { return limit(name, most) }); err != nil {
				return err
			}
		}
	}
	live.pod, live.written = *want, true
	return nil
}

// removePod removes a pod as far as it is there.
func (p *Plane) removePod(id string) error {
	live := p.pods[id]
	if live == nil {
		return nil
	}
	var failed []error
	for name, l := range live.links {
		failed = append(failed, p.wire.removeLink(name, l))
	}
	if live.rules.table != nil {
		live.rules.close() // an open handle keeps the namespace alive
	}
	failed = append(failed, live.ns.Close(), netspace.Remove(p.Namespace(id)))
	delete(p.pods, id)
	return errors.Join(failed...)
}
