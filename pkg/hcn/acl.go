// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// aclSettings has the member "Id" that hcsshim's struct lacks. It must be
// spelled so (Azure/azure-container-networking npm, policy_windows.go).
type aclSettings struct {
	ID              string `json:"Id,omitempty"`
	Protocols       string `json:",omitempty"`
	Action          hns.Action
	Direction       hns.Direction
	LocalAddresses  string       `json:",omitempty"`
	RemoteAddresses string       `json:",omitempty"`
	LocalPorts      string       `json:",omitempty"`
	RemotePorts     string       `json:",omitempty"`
	RuleType        hns.RuleType `json:",omitempty"`
	Priority        uint16       `json:",omitempty"`
}

// protocolAny is how schema 1 spells any protocol; schema 2 answers it, too
// (projectcalico/calico cni-plugin, dataplane_windows.go).
const protocolAny = "256"

func encodeACL(a hns.ACL) (policyDoc, error) {
	local, err := encodePrefixes(a.Local)
	if err != nil {
		return policyDoc{}, fmt.Errorf("local addresses: %w", err)
	}
	remote, err := encodePrefixes(a.Remote)
	if err != nil {
		return policyDoc{}, fmt.Errorf("remote addresses: %w", err)
	}
	s := aclSettings{
		ID:              a.ID,
		Action:          a.Action,
		Direction:       a.Direction,
		LocalAddresses:  strings.Join(local, ","),
		RemoteAddresses: strings.Join(remote, ","),
		LocalPorts:      encodePorts(a.LocalPorts),
		RemotePorts:     encodePorts(a.RemotePorts),
		RuleType:        a.RuleType,
		Priority:        a.Priority,
	}
	if a.Protocol != hns.ProtocolAny {
		n, err := encodeProtocol(a.Protocol)
		if err != nil {
			return policyDoc{}, err
		}
		s.Protocols = strconv.Itoa(int(n))
	}
	return encodeSettings(typeACL, s)
}

func parseACL(settings json.RawMessage) (hns.Policy, error) {
	s, err := decodeStrict[aclSettings](settings)
	if err != nil {
		return nil, err
	}
	a := hns.ACL{ID: s.ID, Priority: s.Priority}
	if a.Action, err = oneOf(s.Action, hns.Allow, hns.Block); err != nil {
		return nil, err
	}
	if a.Direction, err = oneOf(s.Direction, hns.In, hns.Out); err != nil {
		return nil, err
	}
	if a.RuleType, err = oneOf(s.RuleType, "", hns.Host, hns.Switch); err != nil {
		return nil, err
	}
	if a.Protocol, err = parseProtocol(s.Protocols); err != nil {
		return nil, err
	}
	if a.Local, err = parsePrefixes(splitList(s.LocalAddresses)); err != nil {
		return nil, err
	}
	if a.Remote, err = parsePrefixes(splitList(s.RemoteAddresses)); err != nil {
		return nil, err
	}
	if a.LocalPorts, err = parsePorts(s.LocalPorts); err != nil {
		return nil, err
	}
	a.RemotePorts, err = parsePorts(s.RemotePorts)
	return a, err
}

// oneOf returns the one of members that s spells, in any letter case.
func oneOf[T ~string](s T, members ...T) (T, error) {
	for _, m := range members {
		if strings.EqualFold(string(s), string(m)) {
			return m, nil
		}
	}
	return "", fmt.Errorf("%q is not one of %q", s, members)
}

// encodeProtocol returns the number as HNS has it.
func encodeProtocol(n int) (uint8, error) {
	if n < 0 || n > math.MaxUint8 {
		return 0, fmt.Errorf("protocol %d: %w", n, hns.ErrInvalid)
	}
	return uint8(n), nil
}

// parseProtocol refuses a list of several protocols: hns.ACL holds one.
func parseProtocol(s string) (int, error) {
	if s == "" || s == protocolAny {
		return hns.ProtocolAny, nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return int(n), err
}

// splitList returns the parts of a comma list, none for the empty string.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func encodePorts(ranges []hns.PortRange) string {
	var parts []string
	for _, r := range ranges {
		p := strconv.Itoa(int(r.First))
		if r.Last != r.First {
			p += "-" + strconv.Itoa(int(r.Last))
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, ",")
}

func parsePorts(s string) ([]hns.PortRange, error) {
	var ranges []hns.PortRange
	for _, part := range splitList(s) {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		first, err := strconv.ParseUint(low, 10, 16)
		if err != nil {
			return nil, err
		}
		last, err := strconv.ParseUint(high, 10, 16)
		if err != nil {
			return nil, err
		}
		if last < first {
			return nil, fmt.Errorf("port range %q ends before it begins", part)
		}
		ranges = append(ranges, hns.PortRange{First: uint16(first), Last: uint16(last)})
	}
	return ranges, nil
}
