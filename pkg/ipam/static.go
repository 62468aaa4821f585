// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// static is the static plugin in this process. The addresses stand in the
// configuration, and those of CNI_ARGS come on top; args.cni.ips takes the place
// of both, and runtimeConfig.ips of all (containernetworking/plugins,
// plugins/ipam/static). It keeps no state.
type static struct{}

// staticConf is the part of a configuration that static reads.
type staticConf struct {
	CNIVersion string `json:"cniVersion"`
	IPAM       struct {
		Addresses []staticAddress `json:"addresses"`
		Routes    []*types.Route  `json:"routes"`
		DNS       types.DNS       `json:"dns"`
	} `json:"ipam"`
	RuntimeConfig struct {
		IPs []string `json:"ips"`
	} `json:"runtimeConfig"`
	Args struct {
		CNI struct {
			IPs []string `json:"ips"`
		} `json:"cni"`
	} `json:"args"`
}

type staticAddress struct {
	Address string `json:"address"`
	Gateway string `json:"gateway"`
}

// staticArgs are the CNI_ARGS that static knows.
type staticArgs struct {
	types.CommonArgs
	IP      types.UnmarshallableString
	GATEWAY types.UnmarshallableString
}

// Validate parses the addresses.
func (static) Validate(r Request) error {
	_, err := static{}.Add(context.Background(), r)
	return err
}

// Add answers the configured addresses.
func (static) Add(_ context.Context, r Request) (Result, error) {
	out, err := loadStatic(r)
	if err != nil {
		return Result{}, err
	}
	if len(out.Addresses) == 0 {
		return Result{}, fmt.Errorf("%w: ipam.addresses: static needs at least one address, here or in runtimeConfig.ips, args.cni.ips or CNI_ARGS IP", ErrConfig)
	}
	return out, nil
}

func loadStatic(r Request) (Result, error) {
	var conf staticConf
	if err := json.Unmarshal(r.Conf, &conf); err != nil {
		return Result{}, fmt.Errorf("%w: ipam: %w", ErrConfig, err)
	}
	addresses, err := conf.addresses(r.Args)
	if err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := oneOfAFamily(addresses, conf.CNIVersion); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	dns, err := dnsFrom("ipam.dns.", conf.IPAM.DNS)
	if err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	routes, err := routesFrom("ipam.routes", conf.IPAM.Routes)
	if err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	out := Result{Addresses: addresses, DNS: dns}
	if err := out.lead("ipam.routes", routes); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return out, nil
}

// oneOfAFamily keeps to what results before version 0.3.0 can say.
func oneOfAFamily(addresses []Address, cniVersion string) error {
	families := map[bool]int{}
	for _, a := range addresses {
		families[a.Prefix.Addr().Is4()]++
	}
	if families[true] < 2 && families[false] < 2 {
		return nil
	}
	if ok, _ := version.GreaterThanOrEqualTo(cniVersion, "0.3.0"); !ok {
		return fmt.Errorf("cniVersion: %q has no more than one address of each family", cniVersion)
	}
	return nil
}

// Del has nothing to release.
func (static) Del(context.Context, Request) error { return nil }

// Confirm has no book to look into.
func (static) Confirm(context.Context, Request) error { return nil }

// Check has no book to look into.
func (static) Check(context.Context, Request) error { return nil }

// GC has nothing to collect.
func (static) GC(context.Context, []byte, []Holder) error { return nil }

// Status checks that the section can be used. It cannot run out of addresses, and
// they may be named only when an interface is added.
func (static) Status(_ context.Context, conf []byte) error {
	_, err := loadStatic(Request{Conf: conf})
	return err
}

// addresses puts the sources together.
func (c *staticConf) addresses(args string) ([]Address, error) {
	fromArgs, err := parseStaticArgs(args)
	if err != nil {
		return nil, err
	}
	if ips := c.RuntimeConfig.IPs; len(ips) > 0 {
		return parseStatic("runtimeConfig.ips", withoutGateways(ips))
	}
	if ips := c.Args.CNI.IPs; len(ips) > 0 {
		return parseStatic("args.cni.ips", withoutGateways(ips))
	}
	out, err := parseStatic("ipam.addresses", c.IPAM.Addresses)
	return append(out, fromArgs...), err
}

// parseStaticArgs reads CNI_ARGS. A gateway there is that of every address there
// whose subnet it is in, whatever the order.
func parseStaticArgs(args string) ([]Address, error) {
	var env staticArgs
	if err := types.LoadArgs(args, &env); err != nil {
		return nil, fmt.Errorf("CNI_ARGS: %w", err)
	}
	out, err := parseStatic("CNI_ARGS IP", withoutGateways(splitList(string(env.IP))))
	if err != nil {
		return nil, err
	}
	for i, s := range splitList(string(env.GATEWAY)) {
		gw, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("CNI_ARGS GATEWAY[%d]: %q is not an address", i, s)
		}
		for i := range out {
			if out[i].Prefix.Contains(gw.Unmap()) {
				out[i].Gateway = gw.Unmap()
			}
		}
	}
	return out, nil
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	out := strings.Split(s, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

func withoutGateways(ips []string) []staticAddress {
	var out []staticAddress
	for _, ip := range ips {
		out = append(out, staticAddress{Address: ip})
	}
	return out
}

// parseStatic parses the addresses of one source.
func parseStatic(path string, in []staticAddress) ([]Address, error) {
	var out []Address
	for i, a := range in {
		parsed, err := a.parse()
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", path, i, err)
		}
		out = append(out, parsed)
	}
	return out, nil
}

func (a staticAddress) parse() (Address, error) {
	ip, subnet, err := net.ParseCIDR(a.Address)
	if err != nil {
		return Address{}, fmt.Errorf("%q is not an address with a prefix length, as in 10.0.0.5/24", a.Address)
	}
	out, err := address(net.IPNet{IP: ip, Mask: subnet.Mask}, nil)
	if err != nil || a.Gateway == "" {
		return out, err
	}
	gw, err := netip.ParseAddr(a.Gateway)
	if err != nil {
		return Address{}, fmt.Errorf("gateway %q is not an address", a.Gateway)
	}
	out.Gateway = gw.Unmap()
	return out, nil
}
