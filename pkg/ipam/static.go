// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// static is the static plugin in this process: the addresses stand in the
// configuration, in CNI_ARGS or in the runtime's arguments, later ones winning
// (containernetworking/plugins, plugins/ipam/static). It keeps no state.
type static struct{}

// staticConf is the part of a configuration that static reads.
type staticConf struct {
	IPAM struct {
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

// Validate parses the addresses and routes.
func (static) Validate(r Request) error {
	_, err := loadStatic(r)
	return err
}

// Add answers the configured addresses.
func (static) Add(_ context.Context, r Request) (Result, error) {
	return loadStatic(r)
}

func loadStatic(r Request) (Result, error) {
	var conf staticConf
	if err := json.Unmarshal(r.Conf, &conf); err != nil {
		return Result{}, fmt.Errorf("%w: ipam: %w", ErrConfig, err)
	}
	addresses, err := conf.addresses(r.Args)
	if err != nil {
		return Result{}, err
	}
	if len(addresses) == 0 {
		return Result{}, fmt.Errorf("%w: ipam.addresses: static needs at least one address", ErrConfig)
	}
	routes, err := fromRoutes(conf.IPAM.Routes)
	if err != nil {
		return Result{}, fmt.Errorf("%w: ipam.%w", ErrConfig, err)
	}
	dns := conf.IPAM.DNS
	return Result{
		Addresses: addresses,
		Routes:    routes,
		DNS:       hns.DNS{Domain: dns.Domain, Search: dns.Search, Servers: dns.Nameservers, Options: dns.Options},
	}, nil
}

// Del has nothing to release.
func (static) Del(context.Context, Request) error { return nil }

// Check has no book to look into.
func (static) Check(context.Context, Request) error { return nil }

// GC has nothing to collect.
func (static) GC(context.Context, []byte, []Holder) error { return nil }

// Status checks that the section can be used; it cannot run out of addresses.
func (s static) Status(_ context.Context, conf []byte) error {
	return s.Validate(Request{Conf: conf})
}

// addresses picks the source that wins and parses it.
func (c *staticConf) addresses(args string) ([]Address, error) {
	path, chosen := "ipam.addresses", c.IPAM.Addresses
	fromArgs, err := parseStaticArgs(args)
	if err != nil {
		return nil, err
	}
	if len(fromArgs) > 0 {
		path, chosen = "CNI_ARGS IP", fromArgs
	}
	if ips := c.Args.CNI.IPs; len(ips) > 0 {
		path, chosen = "args.cni.ips", withoutGateways(ips)
	}
	if ips := c.RuntimeConfig.IPs; len(ips) > 0 {
		path, chosen = "runtimeConfig.ips", withoutGateways(ips)
	}
	var out []Address
	for i, a := range chosen {
		parsed, err := a.parse()
		if err != nil {
			return nil, fmt.Errorf("%w: %s[%d]: %w", ErrConfig, path, i, err)
		}
		out = append(out, parsed)
	}
	return out, nil
}

func parseStaticArgs(args string) ([]staticAddress, error) {
	var env staticArgs
	if err := types.LoadArgs(args, &env); err != nil {
		return nil, fmt.Errorf("%w: CNI_ARGS: %w", ErrConfig, err)
	}
	var out []staticAddress
	for _, ip := range splitList(string(env.IP)) {
		out = append(out, staticAddress{Address: ip})
	}
	for i, gw := range splitList(string(env.GATEWAY)) {
		if i < len(out) {
			out[i].Gateway = gw
		}
	}
	return out, nil
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func withoutGateways(ips []string) []staticAddress {
	var out []staticAddress
	for _, ip := range ips {
		out = append(out, staticAddress{Address: ip})
	}
	return out
}

func (a staticAddress) parse() (Address, error) {
	prefix, err := netip.ParsePrefix(a.Address)
	if err != nil {
		return Address{}, fmt.Errorf("%q is not an address with a prefix length, as in 10.0.0.5/24", a.Address)
	}
	out := Address{Prefix: prefix}
	if a.Gateway == "" {
		return out, nil
	}
	if out.Gateway, err = netip.ParseAddr(a.Gateway); err != nil {
		return Address{}, fmt.Errorf("gateway %q is not an address", a.Gateway)
	}
	return out, nil
}
