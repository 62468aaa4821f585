// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// IsAddr reports whether text is an IP address.
func IsAddr(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// isAddrOrPrefix accepts an address, and a prefix without host bits.
func isAddrOrPrefix(text string) bool {
	p, err := netip.ParsePrefix(text)
	return IsAddr(text) || err == nil && p == p.Masked()
}

// parseAddr reads an address of a network. An IPv4-mapped address becomes IPv4.
func parseAddr(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, Errorf(CodeInvalidJSON, "%q is not an IP address", text)
	}
	return a.Unmap(), nil
}

// parsePrefix reads a prefix. HNS calls a document with a prefix that has host
// bits invalid as a whole (microsoft/windows-container-networking#69).
func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, Errorf(CodeInvalidJSON, "%v", err)
	}
	if p != p.Masked() {
		return netip.Prefix{}, Errorf(CodeInvalidJSON, "prefix %s has host bits", p)
	}
	return p, nil
}

// DefaultRoute returns the destination of the default route of a's family.
func DefaultRoute(a netip.Addr) string {
	if a.Is4() {
		return "0.0.0.0/0"
	}
	return "::/0"
}

// IPConfig is an address of an endpoint with its prefix length.
type IPConfig struct {
	Address      string `json:"IpAddress"`
	PrefixLength int    `json:",omitempty"`
}

// MACRange is a range of MAC addresses, both ends included, as numbers.
type MACRange struct {
	First, Last uint64
}

// MACRangeDoc is a MACRange as both schemas write it.
type MACRangeDoc struct {
	StartMacAddress string `json:",omitempty"`
	EndMacAddress   string `json:",omitempty"`
}

// parse reads a range. Both ends must be there, in order.
func (d MACRangeDoc) parse() (MACRange, error) {
	first, err := ParseMAC(d.StartMacAddress)
	if err != nil {
		return MACRange{}, err
	}
	last, err := ParseMAC(d.EndMacAddress)
	if err != nil {
		return MACRange{}, err
	}
	if first > last {
		return MACRange{}, Errorf(CodeInvalidNetwork, "MAC range %s-%s", d.StartMacAddress, d.EndMacAddress)
	}
	return MACRange{first, last}, nil
}

// ParseMAC reads a MAC address with hyphens or colons: clients send both.
func ParseMAC(text string) (uint64, error) {
	m, err := hns.ParseMAC(text)
	if err != nil || m == "" {
		return 0, Errorf(CodeInvalidJSON, "%q is not a MAC address", text)
	}
	var n uint64
	b, _ := hex.DecodeString(strings.ReplaceAll(string(m), ":", ""))
	for _, octet := range b {
		n = n<<8 | uint64(octet)
	}
	return n, nil
}

// FormatMAC writes a MAC address as HNS does: 00-15-5D-52-C0-00.
func FormatMAC(n uint64) string {
	s := fmt.Sprintf("%012X", n)
	return s[:2] + "-" + s[2:4] + "-" + s[4:6] + "-" + s[6:8] + "-" + s[8:10] + "-" + s[10:]
}
