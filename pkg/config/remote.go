// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

type wireRemote struct {
	Prefix          string `json:"prefix"`
	VSID            *int64 `json:"vsid"`
	ProviderAddress string `json:"providerAddress"`
	MAC             string `json:"mac"`
}

// remoteSubnets reads the ranges of the overlay's other nodes, which are not to
// overlap this node's.
func (w *wireNetwork) remoteSubnets(d hns.Driver, own []hns.Subnet) ([]hns.RemoteSubnet, error) {
	const path = "network.remoteSubnets"
	if len(w.RemoteSubnets) > 0 && d != hns.Overlay {
		return nil, invalid(path, "only overlay networks have it, not %s", d)
	}
	type ranged struct {
		path   string
		prefix netip.Prefix
	}
	var taken []ranged
	for i, s := range own {
		taken = append(taken, ranged{index("network.subnets", i), s.Prefix})
	}
	var out []hns.RemoteSubnet
	for i, r := range w.RemoteSubnets {
		path := index(path, i)
		s, err := r.subnet(path)
		if err != nil {
			return nil, err
		}
		for _, other := range taken {
			if other.prefix.Overlaps(s.Prefix) {
				return nil, invalid(path+".prefix", "%s overlaps %s of %s.prefix", s.Prefix, other.prefix, other.path)
			}
		}
		taken = append(taken, ranged{path, s.Prefix})
		out = append(out, s)
	}
	return out, nil
}

func (w wireRemote) subnet(path string) (hns.RemoteSubnet, error) {
	var s hns.RemoteSubnet
	var err error
	if s.Prefix, err = parsePrefix(path+".prefix", w.Prefix); err != nil {
		return s, err
	}
	if err := checkFamily(path+".prefix", s.Prefix.Addr(), hns.Overlay); err != nil {
		return s, err
	}
	if s.VSID, err = parseVSID(path+".vsid", w.VSID); err != nil {
		return s, err
	}
	if s.ProviderAddress, err = parseAddr(path+".providerAddress", w.ProviderAddress); err != nil {
		return s, err
	}
	if err := checkFamily(path+".providerAddress", s.ProviderAddress, hns.Overlay); err != nil {
		return s, err
	}
	s.MAC, err = parseMAC(path+".mac", w.MAC)
	return s, err
}
