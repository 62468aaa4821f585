// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"net"
	"net/netip"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
)

// store is host-local's own store for one allocation. The caller holds the lock for
// all range sets, and other pods' files are not read: the allocator tries one
// candidate after the other.
type store struct{ *disk.Store }

var _ backend.Store = store{}

// Lock does nothing: the whole allocation has the lock.
func (store) Lock() error { return nil }

// Unlock does nothing, as Lock.
func (store) Unlock() error { return nil }

// GetByID returns nothing. host-local asks it to refuse a second ADD of one
// interface without a DEL between, which the CNI specification forbids, and reads
// every file for that. Such a second address is freed by DEL.
func (store) GetByID(string, string) []net.IP { return nil }

// addressesOf returns the addresses of reservations, each once.
func addressesOf(all []reservation) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, r := range all {
		out[r.addr] = true
	}
	return out
}
