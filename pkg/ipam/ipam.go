// SPDX-License-Identifier: Apache-2.0

// Package ipam gets addresses for pods and gives them back. The plugins
// host-local and static run inside this process, host-local on the files of its
// executable so that both can be used at once; every other plugin is executed
// with the configuration and the environment as the runtime sent them. It knows
// nothing of HNS.
package ipam

import (
	"context"
	"errors"
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Kinds of failures, for errors.Is.
var (
	// ErrConfig: the plugin cannot use the ipam section.
	ErrConfig = errors.New("invalid ipam configuration")
	// ErrExhausted: a range has no address left. Only host-local tells.
	ErrExhausted = errors.New("no free address")
	// ErrReleased: what Add reserved has been given back meanwhile.
	ErrReleased = errors.New("address given back")
)

// Result is what an IPAM plugin answered.
type Result struct {
	Addresses []Address
	// Routes are those beside the default routes, whose next hops are gateways of
	// Addresses. A NextHop of zero is the gateway of the family.
	Routes []hns.Route
	DNS    hns.DNS
}

// Address is one address for a pod. Gateway is zero when the plugin named none.
type Address = config.IPAMAddress

// Plugin allocates addresses for the attachment of a configuration.
type Plugin interface {
	// Validate tells what is wrong with the configuration beyond what config has
	// seen, before anything is touched: an ErrConfig. A file that it does not get to read
	// before ctx ends is ctx's error.
	Validate(ctx context.Context, c config.Config) error
	// Add reserves addresses. The addresses of reserved are those that the network
	// or the node has for itself: Add hands none of them out. Only host-local
	// chooses, so only it looks. After a failure part of the addresses may be
	// reserved: call Del.
	Add(ctx context.Context, c config.Config, reserved []netip.Addr) (Result, error)
	// Del releases what is reserved for the attachment, whatever its endpoint had.
	// Nothing to release is success, and so is a configuration that has changed
	// since Add. had are the addresses of its endpoint, where the caller knows them:
	// of those Del releases also what is reserved for nobody, as a crash leaves it.
	Del(ctx context.Context, c config.Config, had []netip.Addr) error
	// Confirm fails with ErrReleased when the reservation of one of the addresses
	// has been given back since Add, by a DEL that overtook it. Plugins without
	// reservations succeed, and so do those that are executed: it would cost a
	// process.
	Confirm(ctx context.Context, c config.Config, has []netip.Addr) error
	// Check fails when one of the addresses is not reserved for the attachment or,
	// where the caller knows none, when no address is. Plugins without reservations
	// succeed.
	Check(ctx context.Context, c config.Config, has []netip.Addr) error
	// GC releases what is held by nobody in keep.
	GC(ctx context.Context, c config.Config, keep []config.Attachment) error
	// Status fails when no Add could work, whoever asks: with ErrExhausted when a range
	// never has an address. It waits for no lock.
	Status(ctx context.Context, c config.Config) error
}

// Open returns the IPAM plugin of that type. The empty type leaves addresses to HNS: its
// Add answers those that the runtime asks for, or none.
func Open(name string) Plugin {
	switch name {
	case "":
		return none{}
	case config.HostLocal:
		return hostLocal{}
	case config.Static:
		return static{}
	default:
		return delegate{name: name}
	}
}

// Reserves reports whether the plugin of that type keeps who has which address, so that
// an address that it gives is nobody's who is alive.
func Reserves(name string) bool { return name != "" && name != config.Static }

// none leaves the choice of an address to HNS.
type none struct{}

func (none) Validate(context.Context, config.Config) error                { return nil }
func (none) Del(context.Context, config.Config, []netip.Addr) error       { return nil }
func (none) Confirm(context.Context, config.Config, []netip.Addr) error   { return nil }
func (none) Check(context.Context, config.Config, []netip.Addr) error     { return nil }
func (none) GC(context.Context, config.Config, []config.Attachment) error { return nil }
func (none) Status(context.Context, config.Config) error                  { return nil }

// Add answers what the runtime asks for; HNS refuses what is taken.
func (none) Add(_ context.Context, c config.Config, _ []netip.Addr) (Result, error) {
	var out Result
	for _, r := range c.Requested {
		out.Addresses = append(out.Addresses, Address{Prefix: netip.PrefixFrom(r.Addr, r.Addr.BitLen())})
	}
	return out, nil
}
