// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/cluster/containerd/process"
	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
)

// pod is what containers of a pod share.
type pod struct {
	// netns is the file of its network namespace, empty for the node's.
	netns    string
	hostname string
	resolv   string // content of its resolv.conf
	link     string
	// announced are the addresses that other nodes know.
	announced []netip.Addr
}

// gateways are what pods send to. The node answers for them on each pod's link.
var gateways = map[bool]netip.Addr{false: netip.MustParseAddr("169.254.1.1"), true: netip.MustParseAddr("fe80::1")}

// newPod makes the network namespace of a pod from the endpoints in its HCN namespace.
func (r *Runner) newPod(s process.Start) (*pod, error) {
	p := &pod{hostname: s.Hostname}
	if s.Namespace == "" {
		return p, nil
	}
	if err := r.HNS.StartContainer(hnsemu.Container{ID: s.Sandbox, NamespaceID: s.Namespace}); err != nil {
		return nil, fmt.Errorf("start the sandbox in HCN namespace %s: %w", s.Namespace, err)
	}
	if err := r.connect(p, s); err != nil {
		r.disconnect(p, s.Sandbox)
		return nil, err
	}
	return p, nil
}

func (r *Runner) connect(p *pod, s process.Start) error {
	state, err := r.HNS.State()
	if err != nil {
		return err
	}
	var addresses []netip.Prefix
	drivers := map[string]hns.Driver{}
	for _, n := range state.Networks {
		drivers[n.ID] = n.Driver
	}
	p.netns = filepath.Join(r.Dir, "netns", s.Sandbox)
	if err := machine.NewNet(p.netns); err != nil {
		return err
	}
	p.link = "pod" + s.Sandbox[:min(len(s.Sandbox), 12)]
	if err := machine.Cable(p.link, "", p.netns); err != nil {
		return err
	}
	for _, e := range state.Endpoints {
		if !strings.EqualFold(e.NamespaceID, s.Namespace) {
			continue
		}
		if p.resolv == "" {
			p.resolv = resolvConf(e.DNS)
		}
		for _, a := range e.Addresses {
			addr := a.Addr()
			addresses = append(addresses, netip.PrefixFrom(addr, addr.BitLen()))
			if err := machine.Route(netip.PrefixFrom(addr, addr.BitLen()), p.link, netip.Addr{}); err != nil {
				return err
			}
			if drivers[e.NetworkID] == hns.NAT {
				continue // private to the node
			}
			p.announced = append(p.announced, addr)
			if err := r.Announce(addr, true); err != nil {
				return err
			}
		}
	}
	// The node answers for every address on the pod's link.
	if err := machine.Set("net/ipv4/conf/"+p.link+"/proxy_arp", "1"); err != nil {
		return err
	}
	if err := machine.Address(p.link, []netip.Prefix{netip.PrefixFrom(gateways[true], 64)}); err != nil {
		return err
	}
	return machine.In(p.netns, func() error { return configure(addresses) })
}

// configure gives a pod its addresses and ways out, in its network namespace.
func configure(addresses []netip.Prefix) error {
	var out []netip.Addr
	seen := map[bool]bool{}
	for _, a := range addresses {
		if six := a.Addr().Is6(); !seen[six] {
			seen[six] = true
			out = append(out, gateways[six])
		}
	}
	if err := machine.Address("eth0", addresses, out...); err != nil {
		return err
	}
	// Windows lets everybody listen everywhere and ping.
	if err := machine.Set("net/ipv4/ip_unprivileged_port_start", "0"); err != nil {
		return err
	}
	return machine.Set("net/ipv4/ping_group_range", "0 2147483647")
}

// removePod takes a pod's network away when its sandbox has ended.
func (r *Runner) removePod(sandbox string) {
	r.mu.Lock()
	p := r.pods[sandbox]
	delete(r.pods, sandbox)
	r.mu.Unlock()
	r.disconnect(p, sandbox)
}

// disconnect undoes what connect did, as far as it got. The node goes on whatever fails.
func (r *Runner) disconnect(p *pod, sandbox string) {
	if p.netns == "" {
		return
	}
	for _, a := range p.announced {
		if err := r.Announce(a, false); err != nil {
			log.Printf("runner: announce that %s is gone: %v", a, err)
		}
	}
	if link, err := netlink.LinkByName(p.link); err == nil {
		if err := netlink.LinkDel(link); err != nil {
			log.Printf("runner: remove %s: %v", p.link, err)
		}
	}
	if err := machine.DeleteNet(p.netns); err != nil && !os.IsNotExist(err) {
		log.Printf("runner: remove the network namespace of %s: %v", sandbox, err)
	}
	if err := r.HNS.StopContainer(sandbox); err != nil {
		log.Printf("runner: end the sandbox %s in HNS: %v", sandbox, err)
	}
}

// resolvConf is the name service of an endpoint as Linux has it.
func resolvConf(d hnsemu.DNSState) string {
	var b strings.Builder
	for _, s := range d.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	search := d.Search
	if len(search) == 0 && d.Domain != "" {
		search = []string{d.Domain}
	}
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	if len(d.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(d.Options, " "))
	}
	return b.String()
}
