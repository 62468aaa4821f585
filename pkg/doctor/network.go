// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// networks judges the HNS network of each conflist.
func (e *exam) networks() {
	for _, c := range plugins(e.Inventory) {
		want, owned := plan.Network(c.Config)
		got, there := e.network(c.Name)
		if there && c.TakesExisting() {
			owned = false // the section is for making a missing one
		} else {
			want.Adapter = e.adapter(c)
		}
		switch {
		case there:
			e.compare(c, want, got, owned)
			e.nodeEndpoint(c, got)
		case !owned:
			e.add(Error, "network.missing", fmt.Sprintf("there is no HNS network %q, and without a network section Bulkhead does not make one.", c.Name),
				"HNS has "+e.networkNames(), "have the agent make it that owns it, or write a network section into "+c.path)
		case want.Driver != hns.NAT:
			e.add(Note, "network.absent", fmt.Sprintf("the HNS network %q is yet to be made: the first pod does, and the node loses its connection for some seconds.", c.Name),
				"HNS has "+e.networkNames(), "bulkhead network create --conf "+quoted(c.path))
			e.taken(want)
		}
	}
}

func (e *exam) networkNames() string {
	var names []string
	for _, n := range e.Networks {
		names = append(names, fmt.Sprintf("%s (%s)", n.Name, n.Driver))
	}
	return listed(names)
}

// compare judges a network that is there.
func (e *exam) compare(c loaded, want, got hns.Network, owned bool) {
	if ds := plan.DiffNetwork(want, got); owned && len(ds) > 0 {
		e.add(Error, "network.differs", fmt.Sprintf("the HNS network %q is not as configured, so no pod starts on it.", got.Name),
			plan.Differences(ds), "bulkhead network delete --name "+quoted(got.Name)+", and the next pod makes it as configured; or change "+c.path)
	} else if _, err := c.WithDriver(got.Driver); err != nil {
		e.add(Error, "network.driver", fmt.Sprintf("the HNS network %q cannot have what the conflist asks for.", got.Name), firstLine(err), "change that in "+c.path)
	}
	if a := got.ManagementAddress; a.IsLinkLocalUnicast() && a.Is4() {
		e.add(Error, "network.cutoff", fmt.Sprintf("the node lost its address when the HNS network %q was made.", got.Name),
			fmt.Sprintf("HNS tells %s as the node's, which an interface without an address takes", a),
			fmt.Sprintf("New-NetIPAddress -InterfaceAlias %s with the node's address, prefix length and gateway", quoted(uplink.SwitchInterface(got.Adapter))))
	}
	given := c.Network != nil && c.Network.ProviderAddress.IsValid() ||
		slices.ContainsFunc(c.Policies, func(p hns.Opaque) bool { return p.Type == "ProviderAddress" })
	if got.Driver == hns.Overlay && !got.ProviderAddress.IsValid() && !got.ManagementAddress.IsValid() && !given {
		e.add(Error, "network.provider", fmt.Sprintf("HNS tells no address of the node under the overlay %q, so other nodes do not reach its pods.", got.Name),
			"neither a provider address nor a management address", "write network.providerAddress, the node's address, into "+c.path)
	}
}

// adapter judges the adapter that a conflist names, and returns the one that it means;
// empty where HNS or Bulkhead is to choose, or nobody can tell.
func (e *exam) adapter(c loaded) string {
	if c.Network == nil || len(e.Adapters) == 0 {
		return ""
	}
	got, there := e.network(c.Name)
	name := c.Network.Adapter
	cure := "write network.adapter with the name of one of them (Get-NetAdapter) into " + c.path
	switch {
	case name == "" && !there && c.Driver != hns.NAT:
		if best, rejected := uplink.Choose(e.Adapters); best == "" {
			e.add(Warning, "adapter.none", fmt.Sprintf("no adapter of the node has a default route, so HNS chooses which carries %q.", c.Name), uplink.Table(rejected), cure)
		}
		return ""
	case uplink.Indirect(name):
		below, err := uplink.Resolve(name, e.Adapters)
		if err != nil && !there {
			e.add(Error, "adapter.missing", fmt.Sprintf("network.adapter of %q names no adapter of this node.", c.Name), firstLine(err), cure)
		}
		return below
	case name == "":
		return ""
	}
	a, known := e.adapterNamed(name)
	_, switched := e.adapterNamed(uplink.SwitchInterface(name))
	why := ""
	if known {
		why = uplink.Unusable(a)
	}
	switch {
	case !known && !switched && !strings.EqualFold(got.Adapter, name):
		e.add(Error, "adapter.missing", fmt.Sprintf("network.adapter of %q names no adapter of this node.", c.Name), fmt.Sprintf("%q is not among %s", name, e.adapterNames()), cure)
	case why != "":
		e.add(Error, "adapter.unusable", fmt.Sprintf("the adapter of %q cannot carry pods.", c.Name), name+": "+why, cure)
	}
	return name
}

func (e *exam) adapterNamed(name string) (uplink.Adapter, bool) {
	at := slices.IndexFunc(e.Adapters, func(a uplink.Adapter) bool { return strings.EqualFold(a.Name, name) })
	if at < 0 {
		return uplink.Adapter{}, false
	}
	return e.Adapters[at], true
}

func (e *exam) adapterNames() string {
	var names []string
	for _, a := range e.Adapters {
		names = append(names, a.Name)
	}
	return listed(names)
}

// taken judges whether the adapter of a network that is to be made is another's.
func (e *exam) taken(want hns.Network) {
	for _, n := range e.Networks {
		if n.Driver != hns.NAT && n.Driver != want.Driver && want.Adapter != "" && strings.EqualFold(n.Adapter, want.Adapter) {
			e.add(Warning, "adapter.taken", fmt.Sprintf("the adapter that %q is to be made on carries a network of another type, and HNS may refuse a second.", want.Name),
				fmt.Sprintf("%s is on %s and of type %s, not %s", n.Name, n.Adapter, n.Driver, want.Driver), "bulkhead network delete --name "+quoted(n.Name)+", if nothing needs it")
		}
	}
}

// neighbours judges networks that share an adapter.
func (e *exam) neighbours() {
	for i, a := range e.Networks {
		for _, b := range e.Networks[i+1:] {
			if !onWire(a) || !onWire(b) || a.Adapter == "" || !strings.EqualFold(a.Adapter, b.Adapter) {
				continue
			}
			spare := a
			if _, ours := ForNetwork(e.Inventory, a.Name); ours {
				spare = b
			}
			cure := "bulkhead network delete --name " + quoted(spare.Name) + ", if nothing needs it"
			evidence := fmt.Sprintf("%s has %s, %s has %s, both on %s", a.Name, prefixes(a), b.Name, prefixes(b), a.Adapter)
			if overlap(a, b) {
				e.add(Error, "network.overlap", "two HNS networks of one adapter share addresses, so two pods can get the same.", evidence, cure)
			} else {
				e.add(Note, "network.shared", "two HNS networks with different subnets are on one adapter, and kube-proxy serves one network of a node.", evidence, cure)
			}
		}
	}
}

// onWire reports whether pods of a network are on the adapter's own wire.
func onWire(n hns.Network) bool {
	return n.Driver != hns.NAT && slices.Contains(hns.Drivers(), n.Driver)
}

func overlap(a, b hns.Network) bool {
	return slices.ContainsFunc(a.Subnets, func(x hns.Subnet) bool {
		return slices.ContainsFunc(b.Subnets, func(y hns.Subnet) bool {
			return x.Prefix.Overlaps(y.Prefix) && x.VLAN == y.VLAN && x.VSID == y.VSID
		})
	})
}

func prefixes(n hns.Network) string {
	var out []netip.Prefix
	for _, s := range n.Subnets {
		out = append(out, s.Prefix)
	}
	return plan.List(out)
}

// nodeEndpoint judges the node's own endpoint on a network, and whether the node forwards
// what it gets from pods.
func (e *exam) nodeEndpoint(c loaded, n hns.Network) {
	want, asked := plan.NodeEndpoint(c.Config, n)
	if !asked {
		return
	}
	at := slices.IndexFunc(e.Endpoints, func(x hns.Endpoint) bool {
		return x.NetworkID == n.ID && !x.Remote && strings.EqualFold(x.Name, want.Name)
	})
	switch {
	case at < 0:
		e.add(Warning, "gateway.missing", fmt.Sprintf("the node has no endpoint of its own on %q yet, by which pods leave it; the next pod makes it.", n.Name),
			"no endpoint "+want.Name, "bulkhead network create --conf "+quoted(c.path))
		return
	case !plan.IsNodeEndpoint(e.Endpoints[at], n):
		e.add(Error, "gateway.differs", fmt.Sprintf("the node's own endpoint on %q has other addresses than network.gatewayEndpoint gives it, so no pod starts.", n.Name),
			fmt.Sprintf("%s has %s, want %s", want.Name, plan.List(e.Endpoints[at].Addrs()), plan.List(want.Addrs())), "take network.gatewayEndpoint out of "+c.path+", or remove the endpoint: "+removeEndpoint(e.Endpoints[at]))
	}
	var off []string
	for _, name := range []string{uplink.SwitchInterface(n.Adapter), uplink.SwitchInterface(want.Name)} {
		if a, known := e.adapterNamed(name); known && a.Forwarding == uplink.Off {
			off = append(off, quoted(a.Name))
		}
	}
	if len(off) > 0 {
		e.add(Error, "forwarding.off", fmt.Sprintf("the node does not forward what pods of %q send by it, so they reach nothing outside of their subnet.", n.Name),
			"forwarding is off on "+listed(off), "Set-NetIPInterface -InterfaceAlias "+strings.Join(off, ",")+" -Forwarding Enabled")
	}
}

// removeEndpoint is the command that removes an endpoint which is not Bulkhead's to remove.
func removeEndpoint(x hns.Endpoint) string {
	return "Get-HnsEndpoint | ? ID -eq " + quoted(x.ID) + " | Remove-HnsEndpoint"
}

// machine judges IPv6, which HNS needs whether pods have it or not (Microsoft, "Advanced
// network options in Windows").
func (e *exam) machine() {
	if e.DisabledComponents&uplink.NoIPv6 != 0 {
		e.add(Error, "ipv6.off", "IPv6 is off on this node, and HNS needs it to make containers' interfaces.", fmt.Sprintf("DisabledComponents of Tcpip6 is 0x%x", e.DisabledComponents),
			`Remove-ItemProperty HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters DisabledComponents, then Restart-Computer`)
		return
	}
	for _, c := range plugins(e.Inventory) {
		n, _ := e.network(c.Name)
		a, known := e.adapterNamed(uplink.SwitchInterface(n.Adapter))
		if known && a.IPv6 == uplink.Off && hasIPv6(c.Config) {
			e.add(Error, "ipv6.adapter", fmt.Sprintf("pods of %q get IPv6 addresses, but IPv6 is off on the node's interface.", c.Name),
				"no IPv6 on "+a.Name, "Enable-NetAdapterBinding -Name "+quoted(a.Name)+" -ComponentID ms_tcpip6")
		}
	}
}

func hasIPv6(c config.Config) bool {
	return c.Network != nil && slices.ContainsFunc(c.Network.Subnets, func(s hns.Subnet) bool { return s.Prefix.Addr().Is6() })
}
