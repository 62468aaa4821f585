// SPDX-License-Identifier: Apache-2.0

package hns

import "fmt"

// Version is the version of the HNS service, as /globals/version answers it.
type Version struct {
	Major, Minor int
}

// String returns "11.10".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// AtLeast reports whether v is major.minor or newer.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// Features is what this node's HNS can do. The version ranges are hcsshim's
// (hcn/hcnglobals.go).
type Features struct {
	Version Version
}

// V2 reports whether HNS understands the v2 schema, without which Bulkhead
// cannot work.
func (f Features) V2() bool { return f.Version.AtLeast(9, 2) }

// DSR reports whether direct server return, and so loopback DSR, is possible.
func (f Features) DSR() bool {
	return f.Version.Major == 9 && f.Version.Minor >= 3 || f.Version.AtLeast(10, 2)
}

// IPv6 reports whether endpoints may be dual stack.
func (f Features) IPv6() bool { return f.Version.AtLeast(11, 10) }

// VXLANPort reports whether an overlay network may choose its UDP port.
func (f Features) VXLANPort() bool { return f.Version.AtLeast(10, 3) }

// MultipleSubnets reports whether a network may have several subnets of a family:
// since Windows Server 2022 (Microsoft, "Multiple subnet support in Host
// Networking Service"). The page tells no version of HNS; that of IPv6, which
// came with the same Windows, stands for it.
func (f Features) MultipleSubnets() bool { return f.IPv6() }
