// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// set tells which set of ACLs is asked about.
type set struct {
	conf, driver, isolation, annotation string
	node                                []string
}

func (s *session) acl() *cobra.Command {
	c := &cobra.Command{
		Use:   "acl",
		Short: "Show what ACLs a configuration means, and what they do to a packet",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(s.aclShow(), s.aclExplain())
	return c
}

func (f *set) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.conf, "conf", "", "`file` of a conflist, or of one plugin's configuration")
	c.Flags().StringVar(&f.driver, "driver", "", "`driver` instead of the configuration's: nat, transparent, l2bridge, l2tunnel, overlay")
	c.Flags().StringVar(&f.isolation, "isolation", "", "`isolation` instead of the configuration's: process, hyperv")
	c.Flags().StringVar(&f.annotation, "annotation", "", "`text` of the pod's annotation "+config.Annotation)
	c.Flags().StringSliceVar(&f.node, "node", nil, "`addresses` of the node, for acl.allowHost (default: those that this machine would reach pods from)")
}

// compile returns the rules of each of Bulkhead's plugins in the file. Only the parts of
// the configuration that ACLs depend on are looked at.
func (s *session) compile(f set) ([]acl.Set, error) {
	plugins, err := readPlugins(f.conf)
	if err != nil {
		return nil, err
	}
	var out []acl.Set
	for _, p := range plugins {
		compiled, err := s.compilePlugin(f, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.conf, err)
		}
		out = append(out, compiled)
	}
	return out, nil
}

func (s *session) compilePlugin(f set, plugin config.Plugin) (acl.Set, error) {
	network := hns.Network{}
	var nodes hns.Endpoint
	plugin = plugin.WithFlannel()
	if plugin.Ours() || plugin.Replaced() {
		// ADD refuses the whole for a mistake in another part.
		whole, err := config.Parse(plugin.Stdin(), config.Env{})
		if err != nil {
			return acl.Set{}, err
		}
		if whole.Network != nil {
			network.Name, network.Subnets = whole.Name, whole.Network.Subnets
			nodes, _ = plan.NodeEndpoint(whole, network)
		}
	}
	plugin, err := plugin.Native()
	if err != nil {
		return acl.Set{}, err
	}
	part := plugin.Only("name", "cniVersion", "driver", "isolation", "acl", "capabilities").With("type", config.TypeACL)
	if f.driver != "" {
		part = part.With("driver", f.driver)
	}
	if f.isolation != "" {
		part = part.With("isolation", f.isolation)
	}
	env := config.Env{}
	if f.annotation != "" {
		if _, err := config.Parse(part.Stdin(), env); err != nil {
			return acl.Set{}, err // such as an annotation that would not arrive
		}
		part = part.With("runtimeConfig", map[string]any{config.CapabilityAnnotations: map[string]string{config.Annotation: f.annotation}})
		env.ContainerID = "explained" // an annotation is a pod's
	}
	c, err := config.Parse(part.Stdin(), env)
	if err != nil {
		return acl.Set{}, err
	}
	if c.Driver == "" && !c.ACL.Program {
		return acl.Set{Target: acl.Target{Isolation: c.Isolation}}, nil
	}
	if c.Driver == "" {
		return acl.Set{}, errNoDriver
	}
	// The rules bear the name of whoever the file says programs them.
	if plugin.Ours() {
		c.Type = plugin.Type()
	}
	network.Driver = c.Driver
	host, err := s.host(f, c, network)
	if err != nil {
		return acl.Set{}, err
	}
	if f.node == nil {
		host = append(host, nodes.Addrs()...)
	}
	return plan.ACLs(plan.Facts{Config: c, Network: network, Host: host, Addresses: families(c.Driver)})
}

var errNoDriver = errors.New("driver: missing; on a node the network tells, here --driver must")

// families stands for a pod that has addresses of every family of the driver.
func families(d hns.Driver) []plan.Address {
	out := []plan.Address{{Addr: netip.IPv4Unspecified()}}
	if d.HasIPv6() {
		out = append(out, plan.Address{Addr: netip.IPv6Unspecified()})
	}
	return out
}

// host returns the addresses that the node reaches pods of the network from, where they
// matter.
func (s *session) host(f set, c config.Config, n hns.Network) ([]netip.Addr, error) {
	if !plan.NeedsHost(c) {
		return nil, nil
	}
	var out []netip.Addr
	for _, text := range f.node {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("--node: %w", err)
		}
		out = append(out, a)
	}
	if f.node != nil {
		return out, nil
	}
	for _, to := range plan.Reached(n, nil) {
		if a, err := s.Node.SendsFrom(to); err == nil {
			out = append(out, a)
		} // no way to that family
	}
	return out, nil
}

func (s *session) aclExplain() *cobra.Command {
	var f set
	var p packet
	c := &cobra.Command{
		Use:   "explain --conf FILE --direction in|out --protocol NAME [--remote IP] [--port N]",
		Short: "Tell what becomes of one packet of a pod, and why",
		Example: "  bulkhead acl explain --conf 10-bulkhead.conflist --direction in --protocol tcp --port 22 --remote 10.1.2.3\n" +
			"  bulkhead acl explain --conf 10-bulkhead.conflist --direction out --protocol icmp --isolation hyperv -o json",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return s.explain(f, p) },
	}
	f.flags(c)
	c.Flags().StringVar(&p.direction, "direction", "", "`direction` as the pod sees it: in or out")
	c.Flags().StringVar(&p.protocol, "protocol", "", "`protocol`: a name such as tcp, udp, icmp, or a number")
	c.Flags().StringVar(&p.remote, "remote", "", "`address` of the other side (default: one that no rule names)")
	c.Flags().StringVar(&p.port, "port", "", "destination `port` of TCP or UDP (default: one that no rule names)")
	required(c, "conf", "direction", "protocol")
	return c
}

// required marks flags that must be there. They were just made.
func required(c *cobra.Command, names ...string) {
	for _, name := range names {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
}

// answer is what explain prints.
type answer struct {
	Allowed bool         `json:"allowed"`
	Rule    string       `json:"rule"`
	At      hns.RuleType `json:"at"`
	Why     string       `json:"why"`
	// Ports are those that rules name, when the question names none: for them the
	// answer can be another.
	Ports string `json:"ports,omitempty"`
}

func (s *session) explain(f set, p packet) error {
	packet, err := p.parse()
	if err != nil {
		return err
	}
	sets, err := s.compile(f)
	if err != nil {
		return err
	}
	for _, set := range sets {
		if set.Target.Driver == "" {
			return errNoDriver
		}
	}
	// A packet must pass them all.
	v := sets[0].Verdict(packet)
	for _, set := range sets[1:] {
		if v.Allowed {
			v = set.Verdict(packet)
		}
	}
	a := answer{v.Allowed, v.Rule, v.At, v.Why, ""}
	if packet.Port == 0 {
		a.Ports = portsNamed(sets, packet)
	}
	return s.print(a, func(w io.Writer) error {
		verdict := "denied"
		if v.Allowed {
			verdict = "allowed"
		}
		fmt.Fprintf(w, "%s: %s\n", verdict, v.Why)
		if a.Ports != "" {
			fmt.Fprintf(w, "That is for a port that no rule names. Rules name %s: ask for one of these with --port.\n", a.Ports)
		}
		return nil
	})
}

// portsNamed lists the ports that the rules of a packet's direction and protocol name.
func portsNamed(sets []acl.Set, p acl.Packet) string {
	var named []string
	for _, set := range sets {
		for _, r := range set.Rules {
			ranges := slices.Concat(r.LocalPorts, r.RemotePorts)
			text := ports(ranges)
			if r.Direction == p.Direction && r.Protocol == p.Protocol && len(ranges) > 0 && !slices.Contains(named, text) {
				named = append(named, text)
			}
		}
	}
	return strings.Join(named, ", ")
}

// packet is a packet as flags describe it.
type packet struct {
	direction, protocol, remote, port string
}

func (p packet) parse() (acl.Packet, error) {
	var out acl.Packet
	switch p.direction {
	case "in":
		out.Direction = hns.In
	case "out":
		out.Direction = hns.Out
	default:
		return acl.Packet{}, fmt.Errorf("--direction %q is not one of in, out", p.direction)
	}
	if p.remote != "" {
		a, err := netip.ParseAddr(p.remote)
		prefix, prefixErr := netip.ParsePrefix(p.remote)
		switch {
		case err == nil:
			out.Remote = a.Unmap()
		case prefixErr == nil:
			return acl.Packet{}, fmt.Errorf("--remote %s is a prefix, and rules can cut it in parts; ask for an address of it, such as %s", p.remote, prefix.Masked().Addr())
		default:
			return acl.Packet{}, fmt.Errorf("--remote %q is not an IP address", p.remote)
		}
	}
	numbers, err := config.ParseProtocol("--protocol", p.protocol)
	if err != nil {
		return acl.Packet{}, err
	}
	out.Protocol = numbers[0]
	if out.Remote.Is6() {
		out.Protocol = numbers[len(numbers)-1] // icmp is two: IPv4's and IPv6's
	}
	if out.Port, err = parsePort(p.port); err != nil {
		return acl.Packet{}, err
	}
	const tcp, udp = 6, 17
	if out.Port != 0 && out.Protocol != tcp && out.Protocol != udp {
		return acl.Packet{}, errors.New("--port is for tcp and udp")
	}
	return out, nil
}

// parsePort reads --port; 0 is none.
func parsePort(text string) (uint16, error) {
	const base, bits = 10, 16
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, base, bits)
	if low, _, isRange := strings.Cut(text, "-"); isRange && low != "" {
		return 0, fmt.Errorf("--port %s is a range, and rules can cut it in parts; ask for one port of it, such as %s", text, low)
	}
	if err != nil || n == 0 {
		return 0, fmt.Errorf("--port %q is not a port, 1 to 65535", text)
	}
	return uint16(n), nil
}
