// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"

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

// Add reserves addresses and reads no other pod's file. An interface that is added
// twice without a Del between holds what both gave until Del.
func (hostLocal) Add(ctx context.Context, r Request) (Result, error) {
	conf, err := loadHostLocal(r)
	if err != nil {
		return Result{}, err
	}
	var out Result
	d := networkDir{conf.DataDir, conf.Name}
	err = d.withLock(ctx, func(s *disk.Store) error {
		ips, err := allocate(conf, d, s, r)
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
func allocate(conf hostLocalSection, d networkDir, s *disk.Store, r Request) ([]*current.IPConfig, error) {
	var out []*current.IPConfig
	requested := conf.IPArgs
	for i, p := range conf.pools {
		ip, rest := takeContained(&p.whole, requested)
		requested = rest
		if why := p.never.why(ip); why != "" {
			return nil, fmt.Errorf("%w: requested address %s is never handed out: %s", ErrConfig, ip, why)
		}
		if len(p.set) == 0 {
			return nil, p.exhausted(nil)
		}
		got, err := allocator.NewIPAllocator(&p.set, store{s}, i).Get(r.ContainerID, r.IfName, ip)
		if err != nil && ip == nil {
			if all, listErr := d.reservations(); listErr == nil {
				if full := p.exhausted(reserved(all)); full != nil {
					return nil, fmt.Errorf("%w (%w)", full, err)
				}
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		out = append(out, got)
	}
	if len(requested) > 0 {
		return nil, fmt.Errorf("%w: requested address %s is in no range", ErrConfig, requested[0])
	}
	return out, nil
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
	d, err := networkDirOf(r.Conf)
	if err != nil {
		return err
	}
	if there, err := d.exists(); err != nil || !there {
		return err
	}
	return d.withLock(ctx, func(*disk.Store) error { return d.release(r) })
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
	d, err := networkDirOf(r.Conf)
	if err != nil {
		return err
	}
	return d.bounded(ctx, func() error { return d.confirm(r) })
}

// GC is host-local's own: it removes every file of the directory that names nobody in
// keep, and passes over what it cannot read or remove.
func (hostLocal) GC(ctx context.Context, conf []byte, keep []Holder) error {
	d, err := networkDirOf(conf)
	if err != nil {
		return err
	}
	if there, err := d.exists(); err != nil || !there {
		return err
	}
	var valid []types.GCAttachment
	for _, h := range keep {
		valid = append(valid, types.GCAttachment{ContainerID: h.ContainerID, IfName: h.IfName})
	}
	return d.bounded(ctx, func() error {
		store, err := disk.New(d.network, d.dataDir)
		if err != nil {
			return fmt.Errorf("open the address files in %s: %w", d.path(), err)
		}
		defer store.Close() //nolint:errcheck // it gives the lock back; there is nothing to do when that fails
		return store.GC(valid)
	})
}

// Status checks that the section can be used, that the files can be opened and
// that no range is used up.
func (hostLocal) Status(ctx context.Context, conf []byte) error {
	c, err := loadHostLocal(Request{Conf: conf})
	if err != nil {
		return err
	}
	d := networkDir{c.DataDir, c.Name}
	return d.bounded(ctx, func() error {
		if err := d.usable(); err != nil {
			return err
		}
		all, err := d.reservations()
		if err != nil {
			return err
		}
		held := reserved(all)
		for _, p := range c.pools {
			if err := p.exhausted(held); err != nil {
				return err
			}
		}
		return nil
	})
}
