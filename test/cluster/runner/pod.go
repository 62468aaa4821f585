// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"fmt"
	"log"
	"strings"

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
}

// newPod starts the sandbox of a pod in HNS, which gives its HCN namespace a compartment,
// and so a network namespace. On a Linux node CNI plugins have made that.
func (r *Runner) newPod(s process.Start) (*pod, error) {
	p := &pod{hostname: s.Hostname}
	switch {
	case s.Namespace == "":
		return p, nil
	case r.HNS == nil:
		p.netns = s.Namespace
		return p, nil
	}
	sandbox := hnsemu.Container{ID: s.Sandbox, NamespaceID: s.Namespace}
	if s.HyperV {
		sandbox.Isolation = hns.HyperV
	}
	if err := r.HNS.StartContainer(sandbox); err != nil {
		return nil, fmt.Errorf("start the sandbox in HCN namespace %s: %w", s.Namespace, err)
	}
	if err := r.enter(p, s.Namespace); err != nil {
		r.stopSandbox(s.Sandbox)
		return nil, err
	}
	return p, nil
}

// enter makes the pod's network namespace ready for processes.
func (r *Runner) enter(p *pod, namespace string) error {
	p.netns = r.Netns(strings.ToLower(namespace))
	state, err := r.HNS.State()
	if err != nil {
		return err
	}
	for _, e := range state.Endpoints {
		if strings.EqualFold(e.NamespaceID, namespace) {
			p.resolv = resolvConf(e.DNS)
			break
		}
	}
	return machine.In(p.netns, func() error {
		// Windows lets everybody listen everywhere and ping.
		if err := machine.Set("net/ipv4/ip_unprivileged_port_start", "0"); err != nil {
			return err
		}
		return machine.Set("net/ipv4/ping_group_range", "0 2147483647")
	})
}

// removePod ends a pod when its sandbox has ended.
func (r *Runner) removePod(sandbox string) {
	r.mu.Lock()
	p := r.pods[sandbox]
	delete(r.pods, sandbox)
	r.mu.Unlock()
	if p.netns != "" && r.HNS != nil {
		r.stopSandbox(sandbox)
	}
}

// stopSandbox ends a sandbox in HNS. The node goes on whatever fails.
func (r *Runner) stopSandbox(sandbox string) {
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
