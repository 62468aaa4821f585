// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net/netip"
	"slices"
)

// Exhausted is the ErrExhausted of a range whose addresses are all reserved.
type Exhausted struct {
	// where is the range.
	where string
	held  []netip.Addr
	// compared tells that orphans, those of held that no endpoint has, are known.
	compared bool
	orphans  int
}

// Beside returns the error of a caller who knows the addresses of all endpoints:
// it says how many reservations have none, which GC can release.
func (e Exhausted) Beside(endpoints []netip.Addr) Exhausted {
	e.compared, e.orphans = true, 0
	for _, a := range e.held {
		if !slices.Contains(endpoints, a) {
			e.orphans++
		}
	}
	return e
}

// Unwrap returns ErrExhausted.
func (Exhausted) Unwrap() error { return ErrExhausted }

// Error says which range is used up, by how many addresses, and what to do.
func (e Exhausted) Error() string {
	switch len(e.held) {
	case 0:
		return fmt.Sprintf("%v: %s has none beside its gateway; widen the range", ErrExhausted, e.where)
	case 1:
		return fmt.Sprintf("%v: the one address of %s is reserved%s", ErrExhausted, e.where, e.advice())
	default:
		return fmt.Sprintf("%v: all %d addresses of %s are reserved%s", ErrExhausted, len(e.held), e.where, e.advice())
	}
}

func (e Exhausted) advice() string {
	switch {
	case !e.compared:
		return "; run GC or widen the range"
	case e.orphans == 0:
		return ", all by containers with an endpoint; GC would find nothing: widen the range"
	default:
		return fmt.Sprintf(", %d of %d by containers without an endpoint; run GC", e.orphans, len(e.held))
	}
}
