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

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Kinds of failures, for errors.Is.
var (
	// ErrConfig: the plugin cannot use the ipam section, or CNI_ARGS.
	ErrConfig = errors.New("invalid ipam configuration")
	// ErrExhausted: a range has no address left. Only host-local tells.
	ErrExhausted = errors.New("no free address")
	// ErrReleased: what Add reserved has been given back meanwhile.
	ErrReleased = errors.New("address given back")
)

// Request says for whom addresses are, and how.
type Request struct {
	ContainerID string
	IfName      string
	// Args is CNI_ARGS as it came in.
	Args string
	// Conf is the network configuration as it came in.
	Conf []byte
	// Reserved are the addresses that the network or the node has for itself.
	// Add hands none of them out; only host-local chooses, so only it looks.
	Reserved []netip.Addr
	// Addresses is what the interface's endpoint had, where the caller knows it;
	// nil otherwise. Add does not look at it.
	Addresses []netip.Addr
}

// Result is what an IPAM plugin answered.
type Result struct {
	Addresses []Address
	// Routes are those beside the default routes, whose next hops are gateways of
	// Addresses. A NextHop of zero is the gateway of the family.
	Routes []hns.Route
	DNS    hns.DNS
}

// Address is one address for a pod. Gateway is zero when the plugin named none.
type Address struct {
	Prefix  netip.Prefix
	Gateway netip.Addr
}

// Plugin allocates addresses.
type Plugin interface {
	// Validate tells what is wrong with the request before anything is touched:
	// an ErrConfig, as far as this process can know.
	Validate(r Request) error
	// Add reserves addresses for the request. The caller has made sure that no
	// endpoint uses what the request's interface may still hold. After a
	// failure part of the addresses may be reserved: call Del.
	Add(ctx context.Context, r Request) (Result, error)
	// Del releases everything that the request's container and interface hold,
	// whatever the request's Addresses are. Nothing to release is success, and so is
	// a configuration that has changed since Add. Of Addresses it releases also what
	// is reserved for nobody, which a crash leaves behind. What else names nobody
	// stays for GC: a live pod's file may be as damaged.
	Del(ctx context.Context, r Request) error
	// Confirm fails with ErrReleased when the reservation of the request's
	// interface has been given back since Add, by a DEL that overtook it. It is
	// cheap, most of all when the request has Addresses: then it looks for those,
	// else for any. Plugins that keep no book succeed, and so do those that are
	// executed: it would cost a process.
	Confirm(ctx context.Context, r Request) error
	// Check fails when the request's interface holds no address or, where the
	// request has Addresses, not all of them. Plugins that keep no book succeed.
	Check(ctx context.Context, r Request) error
	// GC releases what is held by nobody in keep, damaged reservations included.
	// It goes on after a single failure and reports them all.
	GC(ctx context.Context, conf []byte, keep []Holder) error
	// Status fails when Add could not work now, whoever asks: with ErrExhausted
	// when a range has no address left. It waits for no lock.
	Status(ctx context.Context, conf []byte) error
}

// Open returns the IPAM plugin of that type. The empty type leaves addresses to
// HNS: its Add answers none.
func Open(name string) Plugin {
	switch name {
	case "":
		return none{}
	case "host-local":
		return hostLocal{}
	case "static":
		return static{}
	default:
		return delegate{name: name}
	}
}

// Chooses reports whether the plugin of that type chooses addresses in this
// process, and so heeds Request.Reserved.
func Chooses(name string) bool { return name == "host-local" }

// none leaves the choice of an address to HNS.
type none struct{}

func (none) Validate(Request) error                       { return nil }
func (none) Add(context.Context, Request) (Result, error) { return Result{}, nil }
func (none) Del(context.Context, Request) error           { return nil }
func (none) Confirm(context.Context, Request) error       { return nil }
func (none) Check(context.Context, Request) error         { return nil }
func (none) GC(context.Context, []byte, []Holder) error   { return nil }
func (none) Status(context.Context, []byte) error         { return nil }
