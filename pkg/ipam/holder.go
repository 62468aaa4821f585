// SPDX-License-Identifier: Apache-2.0

package ipam

import "strings"

// Holder is an interface of a container that may hold addresses.
type Holder struct {
	ContainerID, IfName string
}

// holder returns who holds what is reserved for the request.
func (r Request) holder() Holder { return Holder{r.ContainerID, r.IfName} }

// holderIn reads the content of an address file: the container and the interface on
// a line each, or the container alone, as old versions of host-local wrote. Either
// kind of line break counts, and spaces around a name do not.
func holderIn(content string) Holder {
	id, ifName, _ := strings.Cut(content, "\n")
	return Holder{strings.TrimSpace(id), strings.TrimSpace(ifName)}
}

// blank reports whether an address file says nothing, as a crash between making and
// writing it leaves it: empty, or filled with zeros by the file system.
func blank(content string) bool {
	return strings.TrimSpace(strings.Trim(content, "\x00")) == ""
}
