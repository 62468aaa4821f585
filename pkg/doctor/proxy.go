// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/kubeproxy"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// proxies judges what kube-proxy was told against the network of the pods
// (kubernetes/kubernetes, pkg/proxy/winkernel/proxier.go). One whose file cannot be read is
// not judged, and neither is a node with several networks of Bulkhead's, of which it serves
// one.
func (e *exam) proxies() {
	all := slices.DeleteFunc(plugins(e.Inventory), func(c loaded) bool {
		n, there := e.network(c.Name)
		return !there || !n.Driver.HasVFP()
	})
	for _, p := range e.KubeProxies {
		if p.Unread || len(all) == 0 {
			continue
		}
		at := slices.IndexFunc(all, func(c loaded) bool { return c.Name == p.Network })
		if at < 0 {
			e.proxyNetwork(p, all[0])
			continue
		}
		n, _ := e.network(all[at].Name)
		e.sourceVIP(p, all[at], n)
		e.dsr(p, all[at], n)
	}
}

func (e *exam) proxyNetwork(p kubeproxy.Process, c loaded) {
	n, _ := e.network(c.Name)
	evidence := fmt.Sprintf("process %d was told %q, the pods' network is %q", p.PID, p.Network, n.Name)
	what := "kube-proxy serves another HNS network than the pods', so services do not work for them."
	if p.Network == "" {
		what = "kube-proxy was not told the HNS network of the pods, so services do not work for them."
		evidence = fmt.Sprintf("process %d has neither --network-name nor %s; the pods' network is %q", p.PID, kubeproxy.Variable, n.Name)
	}
	e.add(Error, "kubeproxy.network", what, evidence, e.fitting(p, c, n))
}

// sourceVIP judges the address that kube-proxy takes on an overlay for what services send.
func (e *exam) sourceVIP(p kubeproxy.Process, c loaded, n hns.Network) {
	if n.Driver != hns.Overlay {
		return // there it is the node's own address
	}
	vip, err := netip.ParseAddr(p.SourceVIP)
	holder := slices.IndexFunc(pods(e.Inventory), func(own pod) bool { return own.NetworkID == n.ID && slices.Contains(own.Addrs(), vip) })
	cure := e.fitting(p, c, n)
	switch {
	case p.SourceVIP == "":
		e.add(Error, "kubeproxy.sourceVIP", "kube-proxy has no source VIP, which it needs on an overlay.", fmt.Sprintf("process %d was started without --source-vip", p.PID), cure)
	case err != nil || !slices.ContainsFunc(n.Subnets, func(s hns.Subnet) bool { return s.Prefix.Contains(vip) }):
		e.add(Error, "kubeproxy.sourceVIP", "kube-proxy's source VIP is no address of the pods' network, so services do not work on this node.",
			fmt.Sprintf("%s is not in %s", p.SourceVIP, prefixes(n)), cure)
	case holder >= 0:
		e.add(Error, "kubeproxy.sourceVIP", "a pod has kube-proxy's source VIP.", fmt.Sprintf("%s is that of %s", vip, pods(e.Inventory)[holder].Name), cure)
	case e.mayGetAPod(c.Config, vip):
		e.add(Warning, "kubeproxy.sourceVIP", "kube-proxy's source VIP can be given to a pod.", fmt.Sprintf("%s is in the ranges of %s, not in ipam.exclude, and not reserved", vip, c.path),
			fmt.Sprintf(`write "exclude": ["%s"] into the ipam section of %s`, vip, c.path))
	}
}

// mayGetAPod reports whether host-local can give an address to a pod.
func (e *exam) mayGetAPod(c config.Config, a netip.Addr) bool {
	excluded := slices.ContainsFunc(c.IPAM.Exclude, func(p netip.Prefix) bool { return p.Contains(a) })
	reserved := slices.ContainsFunc(e.Reservations, func(r ipam.Reservation) bool { return r.Network == c.Name && r.Addr == a })
	return rangeOf(c, a) >= 0 && !excluded && !reserved && c.NamedAt(a) == ""
}

// dsr judges direct server return, on which a pod's way to itself through its service
// depends.
func (e *exam) dsr(p kubeproxy.Process, c loaded, n hns.Network) {
	can := hns.Features{Version: e.Version}.DSR()
	off := c.LoopbackDSR != nil && !*c.LoopbackDSR
	asked := c.LoopbackDSR != nil && *c.LoopbackDSR
	switch {
	case p.DSR && !can:
		e.add(Error, "kubeproxy.dsr", "kube-proxy asks for direct server return, which this HNS does not have.", "HNS is version "+e.Version.String(), e.fitting(p, c, n))
	case p.DSR && off:
		e.add(Warning, "kubeproxy.dsr", "with direct server return a pod does not reach itself through its service unless the conflist says so.", c.path+": loopbackDSR is false, and kube-proxy has --enable-dsr", `take "loopbackDSR": false out of `+c.path)
	case !p.DSR && asked && can:
		e.add(Warning, "kubeproxy.dsr", "the conflist asks for loopbackDSR, which does nothing while kube-proxy does not use direct server return.", c.path+": loopbackDSR is true, and kube-proxy has no --enable-dsr", e.fitting(p, c, n))
	}
}

// fitting returns the arguments with which kube-proxy fits the pods' network.
func (e *exam) fitting(p kubeproxy.Process, c loaded, n hns.Network) string {
	args := []string{"--network-name=" + n.Name}
	gates := []string{}
	if n.Driver == hns.Overlay {
		args = append(args, "--source-vip="+e.freeVIP(p, c.Config, n))
		gates = append(gates, "WinOverlay=true")
	}
	if (hns.Features{Version: e.Version}).DSR() && (c.LoopbackDSR == nil || *c.LoopbackDSR) {
		args = append(args, "--enable-dsr=true")
		gates = append(gates, "WinDSR=true")
	}
	out := "start kube-proxy with " + strings.Join(args, " ")
	if len(gates) > 0 {
		out += " (before Kubernetes 1.34 also --feature-gates=" + strings.Join(gates, ",") + ")"
	}
	if p.Config != "" {
		out += "; they are networkName, sourceVip and enableDSR of winkernel in " + p.Config
	}
	return out
}

// freeVIP returns the source VIP that kube-proxy has, if it fits, or one that no pod can get.
func (e *exam) freeVIP(p kubeproxy.Process, c config.Config, n hns.Network) string {
	taken := plan.ReservedByHNS(n)
	for _, x := range e.Endpoints {
		if x.NetworkID == n.ID {
			taken = append(taken, x.Addrs()...)
		}
	}
	fits := func(a netip.Addr) bool {
		return slices.ContainsFunc(n.Subnets, func(s hns.Subnet) bool { return s.Prefix.Contains(a) }) && c.NamedAt(a) == "" &&
			!e.mayGetAPod(c, a) && !slices.ContainsFunc(pods(e.Inventory), func(own pod) bool { return own.NetworkID == n.ID && slices.Contains(own.Addrs(), a) })
	}
	if a, err := netip.ParseAddr(p.SourceVIP); err == nil && fits(a) {
		return p.SourceVIP
	}
	const tries = 512
	for _, s := range n.Subnets {
		a := s.Prefix.Masked().Addr()
		for range tries {
			reserved := slices.ContainsFunc(e.Reservations, func(r ipam.Reservation) bool { return r.Network == c.Name && r.Addr == a })
			if fits(a) && !slices.Contains(taken, a) && !reserved {
				return a.String()
			}
			a = a.Next()
		}
	}
	return cmp.Or(p.SourceVIP, "an address of "+prefixes(n)+" that ipam.exclude names")
}
