// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// release removes every file that names the attachment, and the blank files of the
// addresses that its endpoint had. Files that name the container alone are the
// attachment's where none names the interface, too, as host-local has it. A file that
// cannot be read is an error where it may be the attachment's: its address is one
// that the endpoint had, or nothing is known.
func (d networkDir) release(a config.Attachment, had []netip.Addr) error {
	all, err := d.reservations()
	if err != nil {
		return err
	}
	known := setOf(had)
	var own, ofContainer, blanks []reservation
	var unread, failures []error
	for _, file := range all {
		if file.dir {
			continue // host-local passes over it, too
		}
		content, err := file.content()
		got := holderIn(content)
		switch {
		case missing(err):
		case err != nil && known[file.addr]:
			failures = append(failures, err)
		case err != nil:
			unread = append(unread, err)
		case got == a:
			own = append(own, file)
		case got == config.Attachment{ContainerID: a.ContainerID}:
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
		failures = append(failures, fmt.Errorf("an address of %s of container %s may still be reserved: %w", a.IfName, a.ContainerID, errors.Join(unread...)))
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

// confirm fails with unreserved when one of the addresses is not reserved for the
// attachment. It looks at the files of these addresses only, and does not wait for
// the lock: an address that is just being released counts as released.
func (d networkDir) confirm(a config.Attachment, has []netip.Addr) error {
	for _, addr := range slices.SortedFunc(maps.Keys(setOf(has)), netip.Addr.Compare) {
		content, err := reservation{addr: addr, path: disk.GetEscapedPath(d.path(), addr.String())}.content()
		if err != nil && !missing(err) {
			return err
		}
		if !names(content, a) {
			return unreserved(fmt.Sprintf("no file in %s reserves %s for %s of container %s", d.path(), addr, a.IfName, a.ContainerID))
		}
	}
	return nil
}

// confirmAny fails with unreserved when no address is reserved for the attachment.
func (d networkDir) confirmAny(a config.Attachment) error {
	all, err := d.reservations()
	if err != nil {
		return err
	}
	var unread []error
	for _, file := range all {
		content, err := file.content()
		if err == nil && names(content, a) {
			return nil
		}
		if err != nil && !missing(err) {
			unread = append(unread, err)
		}
	}
	if len(unread) > 0 {
		return errors.Join(unread...)
	}
	return unreserved(fmt.Sprintf("no file in %s names %s of container %s", d.path(), a.IfName, a.ContainerID))
}
