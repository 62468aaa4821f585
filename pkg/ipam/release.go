// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
)

// release removes every file that names the request's interface, and the blank files
// of the addresses that its endpoint had. Files that name the container alone are
// the interface's where none names the interface, too, as host-local has it. A file
// that cannot be read is an error where it may be the interface's: its address is
// known to be, or nothing else is.
func (d networkDir) release(r Request) error {
	all, err := d.reservations()
	if err != nil {
		return err
	}
	known, holder := setOf(r.Addresses), r.holder()
	var own, ofContainer, blanks []reservation
	var unread, failures []error
	for _, file := range all {
		content, err := file.content()
		got := holderIn(content)
		switch {
		case missing(err):
		case err != nil && known[file.addr]:
			failures = append(failures, err)
		case err != nil:
			unread = append(unread, err)
		case got == holder:
			own = append(own, file)
		case got == Holder{ContainerID: holder.ContainerID}:
			ofContainer = append(ofContainer, file)
		case blank(content) && known[file.addr]:
			blanks = append(blanks, file)
		}
	}
	if len(own) == 0 {
		own = ofContainer
	}
	for _, file := range slices.Concat(own, blanks) {
		failures = append(failures, file.remove())
	}
	if len(own) == 0 && len(known) == 0 && len(unread) > 0 {
		failures = append(failures, fmt.Errorf("an address of %s of container %s may still be reserved: %w", r.IfName, r.ContainerID, errors.Join(unread...)))
	}
	return errors.Join(failures...)
}

func setOf(addresses []netip.Addr) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, a := range addresses {
		out[a.Unmap().WithZone("")] = true
	}
	return out
}

// unreserved says which reservation is not there.
type unreserved string

func (u unreserved) Error() string { return string(u) }

// confirm fails with unreserved when one of the request's addresses is not reserved
// for its interface. It looks at the files of these addresses only, and does not
// wait for the lock: what is being released is as good as released.
func (d networkDir) confirm(r Request) error {
	if len(r.Addresses) == 0 {
		return d.confirmAny(r)
	}
	for _, a := range slices.SortedFunc(maps.Keys(setOf(r.Addresses)), netip.Addr.Compare) {
		content, err := reservation{a, disk.GetEscapedPath(d.path(), a.String())}.content()
		if err != nil && !missing(err) {
			return err
		}
		if !r.holder().in(content) {
			return unreserved(fmt.Sprintf("no file in %s reserves %s for %s of container %s", d.path(), a, r.IfName, r.ContainerID))
		}
	}
	return nil
}

// confirmAny fails with unreserved when no address is reserved for the request's
// interface.
func (d networkDir) confirmAny(r Request) error {
	all, err := d.reservations()
	if err != nil {
		return err
	}
	var unread []error
	for _, file := range all {
		content, err := file.content()
		if err == nil && r.holder().in(content) {
			return nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			unread = append(unread, err)
		}
	}
	if len(unread) > 0 {
		return errors.Join(unread...)
	}
	return unreserved(fmt.Sprintf("no file in %s names %s of container %s", d.path(), r.IfName, r.ContainerID))
}

// in reports whether the content of an address file names the holder: the container
// and the interface, or the container alone.
func (h Holder) in(content string) bool {
	got := holderIn(content)
	return got == h || got == Holder{ContainerID: h.ContainerID}
}
