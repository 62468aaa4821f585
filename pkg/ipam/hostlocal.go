// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"

	"github.com/bulkhead-cni/bulkhead/pkg/adminonly"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// hostLocal is the host-local plugin in this process: its own allocator on its
// own files, one per address in <dataDir>/<network>.
type hostLocal struct{}

// Validate reads what Add will.
func (hostLocal) Validate(ctx context.Context, c config.Config) error {
	if _, err := poolsOf(c, nil); err != nil {
		return err
	}
	_, err := dnsOfFile(ctx, c.IPAM.ResolvConf)
	return err
}

// Add takes one address of each range set, the requested ones first, and reads no
// other pod's file. An interface that is added twice without a Del between holds
// what both gave until Del.
func (hostLocal) Add(ctx context.Context, c config.Config, reserved []netip.Addr) (Result, error) {
	pools, err := poolsOf(c, reserved)
	if err != nil {
		return Result{}, err
	}
	var out Result
	if out.DNS, err = dnsOfFile(ctx, c.IPAM.ResolvConf); err != nil {
		return Result{}, err
	}
	d := networkDirOf(c)
	// Whoever can write there can take addresses away. DEL and GC do not ask: what was
	// reserved there is freed there.
	if err := d.bounded(ctx, func() error { return adminonly.MakeDir(d.path()) }); err != nil {
		return Result{}, fmt.Errorf("open the address files in %s: %w", d.path(), err)
	}
	take := func(s *disk.Store) error {
		for i, p := range pools {
			if err := d.checkPlain("last_reserved_ip." + strconv.Itoa(i)); err != nil {
				return err
			}
			a, err := p.take(c, d, store{s}, i)
			if err != nil {
				return err
			}
			out.Addresses = append(out.Addresses, a)
		}
		return nil
	}
	if err := d.bounded(ctx, func() error { return d.locked(ctx, take) }); err != nil {
		return Result{}, err
	}
	if err := out.lead("ipam.routes", c.IPAM.Routes); err != nil {
		return Result{}, problem.New(ErrConfig, err, "")
	}
	return out, nil
}

// take reserves an address of the i-th pool, the requested one if there is any.
func (p pool) take(c config.Config, d networkDir, s store, i int) (Address, error) {
	var requested net.IP
	for _, r := range c.Requested {
		if ip := net.IP(r.Addr.AsSlice()); p.whole.Contains(ip) {
			requested = ip
			break
		}
	}
	if why := p.never.why(requested); why != "" {
		return Address{}, problem.New(ErrConfig, nil, "requested address %s is never handed out: %s", requested, why)
	}
	if len(p.set) == 0 {
		return Address{}, p.exhausted(nil)
	}
	got, err := allocator.NewIPAllocator(&p.set, s, i).Get(c.ContainerID, c.IfName, requested)
	if err == nil {
		return p.address(c, got.Address)
	}
	if requested != nil {
		return Address{}, d.refusal(c, requested, err)
	}
	if all, listErr := d.reservations(); listErr == nil {
		if full := p.exhausted(addressesOf(all)); full != nil {
			return Address{}, fmt.Errorf("%w (%w)", full, err)
		}
	}
	return Address{}, fmt.Errorf("%s: %w", p.Path, err)
}

// refusal says who has a requested address, as far as its file tells.
func (d networkDir) refusal(c config.Config, requested net.IP, failure error) error {
	addr, _ := netip.AddrFromSlice(requested)
	addr = addr.Unmap()
	path := ""
	for _, r := range c.Requested {
		if r.Addr == addr {
			path = r.Path
		}
	}
	content, err := reservation{addr: addr, path: disk.GetEscapedPath(d.path(), addr.String())}.content()
	if err != nil || blank(content) {
		return fmt.Errorf("%s: %w", path, failure)
	}
	holder := holderIn(content)
	return fmt.Errorf("%s: %s is reserved for %s of container %s (%w)", path, addr, holder.IfName, holder.ContainerID, failure)
}

// Del needs no more of the configuration than where the files are, so ranges
// that were changed or broken since ADD cannot keep an address.
func (hostLocal) Del(ctx context.Context, c config.Config, had []netip.Addr) error {
	d := networkDirOf(c)
	return d.bounded(ctx, func() error {
		if there, err := d.exists(); err != nil || !there {
			return err
		}
		return d.locked(ctx, func(*disk.Store) error { return d.release(c.Attachment, had) })
	})
}

// Confirm looks for the reservations of the addresses.
func (h hostLocal) Confirm(ctx context.Context, c config.Config, has []netip.Addr) error {
	err := h.Check(ctx, c, has)
	var lacks unreserved
	if errors.As(err, &lacks) {
		return problem.New(ErrReleased, err, "")
	}
	return err
}

// Check looks for the reservations of the addresses.
func (hostLocal) Check(ctx context.Context, c config.Config, has []netip.Addr) error {
	d := networkDirOf(c)
	return d.bounded(ctx, func() error {
		if len(has) == 0 {
			return d.confirmAny(c.Attachment)
		}
		return d.confirm(c.Attachment, has)
	})
}

// GC is host-local's own: it removes every file of the directory that names nobody in
// keep, and passes over what it cannot read or remove. It takes the lock itself, so a
// GC that was given up while it waited can still run until the process ends.
func (hostLocal) GC(ctx context.Context, c config.Config, keep []config.Attachment) error {
	d := networkDirOf(c)
	var valid []types.GCAttachment
	for _, a := range keep {
		valid = append(valid, types.GCAttachment{ContainerID: a.ContainerID, IfName: a.IfName})
	}
	return d.bounded(ctx, func() error {
		if there, err := d.exists(); err != nil || !there {
			return err
		}
		if err := d.removeHuge(); err != nil {
			return err
		}
		store, err := disk.New(d.network, d.dataDir)
		if err != nil {
			return fmt.Errorf("open the address files in %s: %w", d.path(), err)
		}
		defer store.Close() // gives the lock back
		return store.GC(valid)
	})
}

// Status checks that the section can be used and that the files can be opened. A range
// that is used up is no failure: kubelet would take the node for broken, and the pods that
// run on it would be evicted.
func (hostLocal) Status(ctx context.Context, c config.Config) error {
	pools, err := poolsOf(c, nil)
	if err != nil {
		return err
	}
	if _, err := dnsOfFile(ctx, c.IPAM.ResolvConf); err != nil {
		return err
	}
	d := networkDirOf(c)
	return d.bounded(ctx, func() error {
		if err := d.usable(); err != nil {
			return err
		}
		if err := adminonly.Check(d.path()); err != nil {
			return err
		}
		for _, p := range pools {
			if err := p.exhausted(nil); err != nil {
				return err // it never has one
			}
		}
		return nil
	})
}
