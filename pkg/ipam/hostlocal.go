// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"

	"github.com/bulkhead-cni/bulkhead/pkg/bounded"
)

// hostLocal is the host-local plugin in this process: its own allocator on its
// own files, one per address in <dataDir>/<network>.
type hostLocal struct{}

// Validate parses the section as Add will.
func (hostLocal) Validate(r Request) error {
	_, err := loadHostLocal(r)
	return err
}

func loadHostLocal(r Request) (*allocator.IPAMConfig, error) {
	conf, _, err := allocator.LoadIPAMConfig(r.Conf, r.Args)
	if err != nil {
		return nil, fmt.Errorf("%w: ipam: %w", ErrConfig, err)
	}
	useNetworkGateways(conf, r.Conf)
	return conf, nil
}

// Add first releases what an earlier, killed ADD of the same interface left
// behind: the caller has made sure that no endpoint uses it, and host-local
// itself would refuse (IPv4) or leak (IPv6 on Windows) a second allocation.
func (hostLocal) Add(ctx context.Context, r Request) (Result, error) {
	conf, err := loadHostLocal(r)
	if err != nil {
		return Result{}, err
	}
	return bounded.Do(ctx, func() (Result, error) {
		store, err := disk.New(conf.Name, conf.DataDir)
		if err != nil {
			return Result{}, fmt.Errorf("open the address files: %w", err)
		}
		defer store.Close()
		if err := release(store, r); err != nil {
			return Result{}, err
		}
		ips, err := allocate(conf, store, r)
		if err != nil {
			return Result{}, err
		}
		known := gatewaysIn(r.Conf)
		for _, ip := range ips {
			if !known.has(ip.Gateway) {
				ip.Gateway = nil // host-local's guess: the network may have another
			}
		}
		return fromCNI(&current.Result{IPs: ips, Routes: conf.Routes})
	})
}

// allocate takes one address of each range set, the requested ones first.
func allocate(conf *allocator.IPAMConfig, store *disk.Store, r Request) ([]*current.IPConfig, error) {
	var out []*current.IPConfig
	requested := conf.IPArgs
	for i := range conf.Ranges {
		set := &conf.Ranges[i]
		ip, rest := takeContained(set, requested)
		requested = rest
		got, err := allocator.NewIPAllocator(set, store, i).Get(r.ContainerID, r.IfName, ip)
		if err != nil {
			return nil, fmt.Errorf("ipam.ranges[%d]: %w", i, err)
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
	return withStore(ctx, r.Conf, func(store *disk.Store) error { return release(store, r) })
}

// Check looks for an address of the request's interface.
func (hostLocal) Check(ctx context.Context, r Request) error {
	return withStore(ctx, r.Conf, func(store *disk.Store) error {
		if !store.FindByID(r.ContainerID, r.IfName) {
			return fmt.Errorf("host-local holds no address for %s of container %s", r.IfName, r.ContainerID)
		}
		return nil
	})
}

// withStore runs f on the address files that a configuration names.
func withStore(ctx context.Context, conf []byte, f func(*disk.Store) error) error {
	where, err := location(conf)
	if err != nil {
		return err
	}
	_, err = bounded.Do(ctx, func() (struct{}, error) {
		store, err := disk.New(where.Name, where.IPAM.DataDir)
		if err != nil {
			return struct{}{}, fmt.Errorf("open the address files: %w", err)
		}
		defer store.Close()
		return struct{}{}, f(store)
	})
	return err
}

// place is where the address files are.
type place struct {
	Name string
	IPAM struct{ DataDir string }
}

func location(conf []byte) (place, error) {
	var p place
	if err := json.Unmarshal(conf, &p); err != nil {
		return place{}, fmt.Errorf("%w: ipam: %w", ErrConfig, err)
	}
	return p, nil
}

// Status checks that the section can be used.
func (h hostLocal) Status(_ context.Context, conf []byte) error {
	return h.Validate(Request{Conf: conf})
}

// release frees every address of the request's interface and makes sure of it:
// the store swallows errors of removing a file.
func release(store *disk.Store, r Request) error {
	if err := store.Lock(); err != nil {
		return fmt.Errorf("lock the address files: %w", err)
	}
	defer func() { _ = store.Unlock() }()
	if err := store.ReleaseByID(r.ContainerID, r.IfName); err != nil {
		return fmt.Errorf("release the address: %w", err)
	}
	held, err := store.FindByKey(strings.TrimSpace(r.ContainerID) + disk.LineBreak + r.IfName)
	if err != nil {
		return fmt.Errorf("read the address files: %w", err)
	}
	if held {
		return fmt.Errorf("an address of %s is still reserved: its file cannot be removed", r.ContainerID)
	}
	return nil
}
