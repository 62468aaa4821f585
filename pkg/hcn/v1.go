// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// answerDoc is the answer to a v1 request. Some versions of HNS say by it that
// the request failed (moby/moby#30280), some by the HRESULT of the call
// (Azure/acs-engine#4352); the code is not always in it.
type answerDoc struct {
	Success bool
	Error   string
	Code    int64 `json:"ErrorCode"`
	Output  json.RawMessage
}

// decodeAnswer returns what a request that succeeded came back with, and otherwise what
// HNS says of it: a text, with a blank at its end, and the code if there is one.
func decodeAnswer(answer []byte) (json.RawMessage, error) {
	var doc answerDoc
	if err := json.Unmarshal(answer, &doc); err != nil {
		return nil, fmt.Errorf("answer of HNS: %w", err)
	}
	if doc.Success {
		return doc.Output, nil
	}
	err := fmt.Errorf("HNS failed with error: %s", strings.TrimSpace(doc.Error))
	if code := hns.NewHRESULT(uint32(doc.Code)); code != 0 {
		err = &hns.Error{Code: code, Err: err}
	}
	return nil, err
}

// decodeVersion reads the answer to GET /globals/version. One without a version
// and without a code is that of an HNS that cannot tell (hcsshim
// hcn/hcnsupport.go), so ErrUnsupported.
func decodeVersion(answer []byte) (hns.Version, error) {
	var got hns.Version
	document, err := decodeAnswer(answer)
	if err == nil {
		err = json.Unmarshal(document, &got)
	}
	var native *hns.Error
	if err != nil && !errors.As(err, &native) {
		err = fmt.Errorf("%w: %w", hns.ErrUnsupported, err)
	}
	if err != nil {
		return hns.Version{}, err
	}
	return got, nil
}

// versionError returns what a failed request for the version means. There is nothing
// to find and nothing to get wrong, so ErrNotFound and ErrInvalid say that HNS does
// not know the request.
func versionError(err error) error {
	var native *hns.Error
	if errors.As(err, &native) && (native.Is(hns.ErrNotFound) || native.Is(hns.ErrInvalid)) {
		return fmt.Errorf("%w: %s", hns.ErrUnsupported, native.Code)
	}
	return err
}

// networkV1 is a network of schema 1 as HNS describes it (hcsshim
// internal/hns/hnsnetwork.go; answers in moby/moby#40128 and microsoft/SDN#269).
// HNS leaves out the adapter that it chose itself.
type networkV1 struct {
	ID       string
	Name     string
	Type     enum
	Adapter  string `json:"NetworkAdapterName"`
	Managed  string `json:"ManagementIP"`
	Subnets  []subnetV1
	Policies []json.RawMessage
}

type subnetV1 struct {
	Prefix   string `json:"AddressPrefix"`
	Gateway  string `json:"GatewayAddress"`
	Policies []json.RawMessage
}

// policyV1 holds what the list of networks is read for. Policies of schema 1 are
// flat. Whether one that was made by schema 2 keeps its names is not known, so
// either is read.
type policyV1 struct {
	Type        string
	VLAN, VSID  uint32
	IsolationID uint32 `json:"IsolationId"`
	Adapter     string `json:"NetworkAdapterName"`
}

// policiesV1 returns the policies that have this shape.
func policiesV1(policies []json.RawMessage) []policyV1 {
	var list []policyV1
	for _, raw := range policies {
		var p policyV1
		if err := json.Unmarshal(raw, &p); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// decodeNetworks reads the answer to GET /networks/: of each network what
// hns.Networks says that ListNetworks fills in.
func decodeNetworks(answer []byte) ([]hns.Network, error) {
	document, err := decodeAnswer(answer)
	if err != nil {
		return nil, err
	}
	if len(document) == 0 {
		return nil, nil // hcsshim takes that for success, too (hcn/hcnglobals.go)
	}
	var networks []networkV1
	if err := json.Unmarshal(document, &networks); err != nil {
		return nil, fmt.Errorf("list of networks: %w", err)
	}
	var list []hns.Network
	for _, n := range networks {
		got, err := n.network()
		if err != nil {
			return nil, err
		}
		list = append(list, got)
	}
	return list, nil
}

func (n networkV1) network() (hns.Network, error) {
	got := hns.Network{ID: lenientID(n.ID), Name: n.Name, Driver: decodeDriver(n.Type), Adapter: n.Adapter, ManagementAddress: lenientAddr(n.Managed)}
	if got.ID == "" {
		return hns.Network{}, fmt.Errorf("list of networks: id %q of %q is not a GUID", n.ID, n.Name)
	}
	for _, p := range policiesV1(n.Policies) {
		if got.Adapter == "" && strings.EqualFold(p.Type, typeNetAdapterName) {
			got.Adapter = p.Adapter
		}
	}
	for _, s := range n.Subnets {
		if prefix, err := netip.ParsePrefix(s.Prefix); err == nil {
			got.Subnets = append(got.Subnets, s.subnet(prefix))
		}
	}
	return got, nil
}

func (s subnetV1) subnet(prefix netip.Prefix) hns.Subnet {
	got := hns.Subnet{Prefix: prefix, Gateway: lenientAddr(s.Gateway)}
	for _, p := range policiesV1(s.Policies) {
		switch {
		case strings.EqualFold(p.Type, typeVLAN):
			got.VLAN = uint16(max(p.VLAN, p.IsolationID))
		case strings.EqualFold(p.Type, typeVSID):
			got.VSID = max(p.VSID, p.IsolationID)
		}
	}
	return got
}
