// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/containernetworking/cni/pkg/utils"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
)

// Holder is an interface of a container that may hold addresses.
type Holder struct {
	ContainerID, IfName string
}

// holder returns who holds what is reserved for the request.
func (r Request) holder() Holder { return Holder{r.ContainerID, r.IfName}.trimmed() }

// trimmed returns the holder as files name it.
func (h Holder) trimmed() Holder {
	return Holder{strings.TrimSpace(h.ContainerID), strings.TrimSpace(h.IfName)}
}

// valid refuses a holder that nobody could tell from garbage in a file.
func (h Holder) valid() error {
	if err := utils.ValidateContainerID(h.ContainerID); err != nil {
		return err
	}
	if err := utils.ValidateInterfaceName(h.IfName); err != nil {
		return err
	}
	if strings.ContainsFunc(h.IfName, unicode.IsControl) {
		return fmt.Errorf("interface name %q has control characters", h.IfName)
	}
	return nil
}

// String returns the content of the holder's address files.
func (h Holder) String() string { return h.ContainerID + disk.LineBreak + h.IfName }

// holderIn reads the content of an address file. Spaces around a name do not
// count, and either kind of line break does. Old versions wrote the container
// alone.
func holderIn(content string) Holder {
	id, ifName, _ := strings.Cut(content, "\n")
	return Holder{strings.TrimSpace(id), strings.TrimSpace(ifName)}
}

// nobody reports whether the holder is none that a runtime can mean: its
// container has no id, or one with characters that CNI does not allow.
func (h Holder) nobody() bool { return utils.ValidateContainerID(h.ContainerID) != nil }

// holds reports whether the content of an address file names h: the container
// and the interface, or, as old versions wrote, the container alone.
func (h Holder) holds(content string) bool {
	got := holderIn(content)
	return got == h || h.ContainerID != "" && got == Holder{ContainerID: h.ContainerID}
}

// cutOff reports whether content is the beginning of what is written for h, or all
// of it. A crash leaves such files, also filled up with zeros. What names a valid
// holder is to be taken for that one's: net1 is the beginning of net10.
func (h Holder) cutOff(content string) bool {
	return strings.HasPrefix(h.String(), strings.TrimRight(content, "\x00"))
}
