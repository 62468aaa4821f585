// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// hostLocal is the host-local plugin in this process: its own allocator on its
// own files, one per address in <dataDir>/<network>.
type hostLocal struct{}

// Validate parses the section as Add will.
func (hostLocal) Validate(r Request) error {
	_, err := loadHostLocal(r)
	return err
}

// hostLocalSection is host-local's configuration, and what it is to us.
type hostLocalSection struct {
	*allocator.IPAMConfig
	pools  []pool
	routes []hns.Route
	dns    hns.DNS
}

func loadHostLocal(r Request) (hostLocalSection, error) {
	if err := refuseNulls(r.Conf); err != nil {
		return hostLocalSection{}, err
	}
	conf, _, err := allocator.LoadIPAMConfig(r.Conf, r.Args)
	if err != nil {
		return hostLocalSection{}, fmt.Errorf("%w: ipam: %w", ErrConfig, err)
	}
	for i, set := range conf.Ranges {
		if err := countable(set); err != nil {
			return hostLocalSection{}, fmt.Errorf("%w: %s: %w", ErrConfig, rangeNamesIn(r.Conf).name(i), err)
		}
	}
	never, err := withheldFrom(r)
	if err != nil {
		return hostLocalSection{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	useNetworkGateways(conf, r.Conf)
	out := hostLocalSection{IPAMConfig: conf, pools: pools(conf.Ranges, rangeNamesIn(r.Conf), never)}
	if out.routes, err = routesFrom("ipam.routes", conf.Routes); err == nil {
		out.dns, err = dnsOfFile(conf.ResolvConf)
	}
	if err != nil {
		return hostLocalSection{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return out, nil
}

// countable refuses the ranges in ::/96, whose addresses host-local takes for
// IPv4 ones: it would count on past the range's end.
func countable(set allocator.RangeSet) error {
	for _, r := range set {
		if len(r.RangeStart) != len(r.RangeEnd) {
			return fmt.Errorf("%s: host-local cannot count in it", (*net.IPNet)(&r.Subnet))
		}
	}
	return nil
}

// refuseNulls finds what LoadIPAMConfig panics at.
func refuseNulls(conf []byte) error {
	var c struct {
		RuntimeConfig struct{ IPs []*json.RawMessage }
		Args          struct {
			CNI struct{ IPs []*json.RawMessage }
		}
	}
	if err := json.Unmarshal(conf, &c); err != nil {
		return fmt.Errorf("%w: ipam: %w", ErrConfig, err)
	}
	if i := slices.Index(c.RuntimeConfig.IPs, nil); i >= 0 {
		return fmt.Errorf("%w: runtimeConfig.ips[%d]: null is not an address", ErrConfig, i)
	}
	if i := slices.Index(c.Args.CNI.IPs, nil); i >= 0 {
		return fmt.Errorf("%w: args.cni.ips[%d]: null is not an address", ErrConfig, i)
	}
	return nil
}

// Add first releases what an earlier, killed Add of the same interface left
// behind: the caller has made sure that no endpoint uses it, and host-local
// itself would refuse (IPv4) or leak (IPv6 on Windows) a second allocation.
func (hostLocal) Add(ctx context.Context, r Request) (Result, error) {
	conf, err := loadHostLocal(r)
	if err != nil {
		return Result{}, err
	}
	if err := r.holder().valid(); err != nil {
		return Result{}, fmt.Errorf("reserve an address for %q of container %q: %w", r.IfName, r.ContainerID, err)
	}
	var out Result
	b := bookIn(conf.DataDir, conf.Name)
	err = b.locked(ctx, func() error {
		s, err := b.cleared(r.holder())
		if err != nil {
			return err
		}
		defer func() { _ = s.mark.Close() }()
		ips, err := allocate(conf, s, r)
		if err != nil {
			return err
		}
		withoutGuesses(ips, gatewaysIn(r.Conf).besides(conf.routes))
		out, err = fromCNI(&current.Result{IPs: ips})
		return err
	})
	if err != nil {
		return Result{}, err
	}
	out.DNS = conf.dns
	if err := out.lead("ipam.routes", conf.routes); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return out, nil
}

// withoutGuesses takes out the gateways that host-local made up: the network may
// have another.
func withoutGuesses(ips []*current.IPConfig, known gateways) {
	for _, ip := range ips {
		if !known.has(ip.Gateway) {
			ip.Gateway = nil
		}
	}
}

// allocate takes one address of each pool, the requested ones first.
func allocate(conf hostLocalSection, s *store, r Request) ([]*current.IPConfig, error) {
	var out []*current.IPConfig
	requested := conf.IPArgs
	for i, p := range conf.pools {
		ip, rest := takeContained(&p.whole, requested)
		requested = rest
		got, err := p.take(i, ip, s, r)
		if err != nil {
			return nil, err
		}
		out = append(out, got)
	}
	if len(requested) > 0 {
		return nil, fmt.Errorf("%w: requested address %s is in no range", ErrConfig, requested[0])
	}
	return out, nil
}

// take reserves an address of the i-th pool, the requested one if there is any.
func (p pool) take(i int, requested net.IP, s *store, r Request) (*current.IPConfig, error) {
	if why := p.never.why(requested); why != "" {
		return nil, fmt.Errorf("%w: requested address %s is never handed out: %s", ErrConfig, requested, why)
	}
	if len(p.set) == 0 {
		return nil, s.exhausted(p)
	}
	got, err := allocator.NewIPAllocator(&p.set, s, i).Get(r.ContainerID, r.IfName, requested)
	if err == nil {
		return got, nil
	}
	if full := s.exhausted(p); errors.Is(full, ErrExhausted) && requested == nil {
		return nil, fmt.Errorf("%w (%w)", full, err)
	}
	return nil, fmt.Errorf("%s: %w", p.name, err)
}

// takeContained splits the first address that a range set contains from ips.
func takeContained(set *allocator.RangeSet, ips []net.IP) (net.IP, []net.IP) {
	for i, ip := range ips {
		if set.Contains(ip) {
			rest := append(append([]net.IP(nil), ips[:i]...), ips[i+1:]...)
			return ip, rest
		}
	}
	return nil, ips
}

// Del needs no more of the configuration than where the files are, so ranges
// that were changed or broken since ADD cannot keep an address.
func (hostLocal) Del(ctx context.Context, r Request) error {
	b, err := bookOf(r.Conf)
	if err != nil {
		return err
	}
	return b.change(ctx, func() error {
		if done, err := b.releaseMarked(r); done {
			return err
		}
		doubt, err := b.release(r)
		if doubt != nil {
			return fmt.Errorf("an address of %s of container %s may still be reserved: %w", r.IfName, r.ContainerID, doubt)
		}
		return err
	})
}

// Confirm looks for the addresses of the request's interface.
func (h hostLocal) Confirm(ctx context.Context, r Request) error {
	err := h.Check(ctx, r)
	var lacks unreserved
	if errors.As(err, &lacks) {
		return fmt.Errorf("%w: %w", ErrReleased, err)
	}
	return err
}

// Check looks for the addresses of the request's interface.
func (hostLocal) Check(ctx context.Context, r Request) error {
	b, err := bookOf(r.Conf)
	if err != nil {
		return err
	}
	return b.within(ctx, "read", func() error { return b.confirm(r) })
}

// Status checks that the section can be used, that the files can be opened and
// that no range is used up.
func (hostLocal) Status(ctx context.Context, conf []byte) error {
	c, err := loadHostLocal(Request{Conf: conf})
	if err != nil {
		return err
	}
	b := bookIn(c.DataDir, c.Name)
	return b.within(ctx, "read", func() error { return b.ready(c.pools) })
}

// ready tells why Add could take no address.
func (b book) ready(pools []pool) error {
	if err := b.usable(); err != nil {
		return err
	}
	entries, err := b.entries()
	if err != nil {
		return err
	}
	held := taken(entries)
	for _, p := range pools {
		if err := p.exhausted(held); err != nil {
			return err
		}
	}
	return nil
}
