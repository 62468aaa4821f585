// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
)

// holderIn reads the content of an address file: the container and the interface on
// a line each, or the container alone, as old versions of host-local wrote. Either
// kind of line break counts, and spaces around a name do not.
func holderIn(content string) config.Attachment {
	id, ifName, _ := strings.Cut(content, "\n")
	return config.Attachment{ContainerID: strings.TrimSpace(id), IfName: strings.TrimSpace(ifName)}
}

// names reports whether the content of an address file names the attachment: the
// container and the interface, or the container alone.
func names(content string, a config.Attachment) bool {
	got := holderIn(content)
	return got == a || got == config.Attachment{ContainerID: a.ContainerID}
}

// blank reports whether an address file says nothing, as a crash between making and
// writing it leaves it: empty, or filled with zeros by the file system.
func blank(content string) bool {
	return strings.TrimSpace(strings.Trim(content, "\x00")) == ""
}
