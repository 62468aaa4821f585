// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// encodeEndpoint returns the document that creates an endpoint. The namespace
// is not in it, since HNS has endpoints attached, not created in one, nor the id,
// which HcnCreateEndpoint takes beside the document.
func encodeEndpoint(want hns.Endpoint) ([]byte, error) {
	policies, err := encodePolicies(want.Policies)
	if err != nil {
		return nil, err
	}
	doc := endpointDoc{
		Name:          want.Name,
		Network:       want.NetworkID,
		Policies:      policies,
		DNS:           dnsDoc(want.DNS),
		MAC:           want.MAC.Hyphenated(),
		SchemaVersion: schemaV2,
	}
	for _, a := range want.Addresses {
		if !a.Addr().IsValid() {
			return nil, fmt.Errorf("address %v: %w", a, hns.ErrInvalid)
		}
		d := addressDoc{Address: a.Addr().String()}
		if a.IsValid() {
			d.PrefixLength = uint8(a.Bits())
		}
		doc.Addresses = append(doc.Addresses, d)
	}
	for _, r := range want.Routes {
		if !r.Destination.IsValid() {
			return nil, fmt.Errorf("route to %v: %w", r.Destination, hns.ErrInvalid)
		}
		doc.Routes = append(doc.Routes, routeDoc{NextHop: addrString(r.NextHop), Destination: r.Destination.String()})
	}
	if want.Remote {
		doc.Flags |= endpointRemote
	}
	return json.Marshal(doc)
}

// decodeEndpoint reads an endpoint as HNS describes it. Addresses and routes
// that are none are left out: an endpoint must stay visible, or it could not be
// deleted.
func decodeEndpoint(document []byte) (hns.Endpoint, error) {
	var doc endpointDoc
	if err := json.Unmarshal(document, &doc); err != nil {
		return hns.Endpoint{}, fmt.Errorf("endpoint document: %w", err)
	}
	got := hns.Endpoint{
		ID:          lenientID(doc.ID),
		Name:        doc.Name,
		NetworkID:   lenientID(doc.Network),
		NamespaceID: lenientID(doc.Namespace),
		MAC:         lenientMAC(doc.MAC),
		DNS:         decodeDNS(doc.DNS),
		Policies:    decodePolicies(doc.Policies),
		Remote:      doc.Flags&endpointRemote != 0,
	}
	if got.ID == "" {
		return hns.Endpoint{}, fmt.Errorf("endpoint document: id %q is not a GUID", doc.ID)
	}
	for _, a := range doc.Addresses {
		if addr := lenientAddr(a.Address); addr.IsValid() {
			got.Addresses = append(got.Addresses, prefixFrom(addr, a.PrefixLength))
		}
	}
	for _, r := range doc.Routes {
		if dst, err := netip.ParsePrefix(r.Destination); err == nil {
			got.Routes = append(got.Routes, hns.Route{Destination: dst, NextHop: lenientAddr(r.NextHop)})
		}
	}
	return got, nil
}

// prefixFrom returns the address with its prefix length, invalid when that is
// absent or longer than the address.
func prefixFrom(a netip.Addr, length uint8) netip.Prefix {
	if length == 0 {
		return netip.PrefixFrom(a, -1)
	}
	return netip.PrefixFrom(a, int(length))
}
