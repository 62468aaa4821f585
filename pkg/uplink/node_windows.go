// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Windows is the node that this process runs on.
type Windows struct{}

// Adapters returns the adapters, in Windows' order.
func (Windows) Adapters() ([]Adapter, error) {
	var out []Adapter
	forwards := forwarding()
	err := eachAdapter(func(a *windows.IpAdapterAddresses) {
		out = append(out, Adapter{
			Name:         windows.UTF16PtrToString(a.FriendlyName),
			Type:         a.IfType,
			Up:           a.OperStatus == windows.IfOperStatusUp,
			DefaultRoute: a.FirstGatewayAddress != nil,
			Metric:       a.Ipv4Metric,
			Addresses:    addresses(a),
			IPv6:         setting(a.Flags&ipv6Enabled != 0),
			Forwarding:   forwards[a.Luid],
		})
	})
	return out, err
}

// setting is the Setting of something that Windows tells.
func setting(on bool) Setting {
	if on {
		return On
	}
	return Off
}

// ipv6Enabled is IP_ADAPTER_IPV6_ENABLED of IP_ADAPTER_ADDRESSES.
const ipv6Enabled = 0x0100

// forwarding returns what each IPv4 interface, by its LUID, does with packets for others.
// It is empty where Windows does not tell, as Wine.
func forwarding() map[uint64]Setting {
	if iphlpapi.NewProc("GetIpInterfaceTable").Find() != nil {
		return nil
	}
	var table *windows.MibIpInterfaceTable
	if windows.GetIpInterfaceTable(windows.AF_INET, &table) != nil {
		return nil
	}
	defer windows.FreeMibTable(unsafe.Pointer(table))
	out := map[uint64]Setting{}
	for _, row := range unsafe.Slice(&table.Table[0], table.NumEntries) {
		out[row.InterfaceLuid] = setting(row.ForwardingEnabled != 0)
	}
	return out
}

func addresses(a *windows.IpAdapterAddresses) []netip.Addr {
	var out []netip.Addr
	for u := a.FirstUnicastAddress; u != nil; u = u.Next {
		if addr, ok := netip.AddrFromSlice(u.Address.IP()); ok {
			out = append(out, addr.Unmap())
		}
	}
	return out
}

func eachAdapter(visit func(*windows.IpAdapterAddresses)) error {
	const skip = windows.GAA_FLAG_SKIP_ANYCAST | windows.GAA_FLAG_SKIP_MULTICAST | windows.GAA_FLAG_SKIP_DNS_SERVER
	// The size that Microsoft's page of GetAdaptersAddresses recommends.
	size := uint32(15 << 10)
	for {
		buffer := make([]uint64, (size+7)/8) // aligned as the structures in it
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&buffer[0]))
		err := windows.GetAdaptersAddresses(windows.AF_UNSPEC, skip|windows.GAA_FLAG_INCLUDE_GATEWAYS, 0, first, &size)
		switch {
		case errors.Is(err, windows.ERROR_BUFFER_OVERFLOW):
			continue // size says what it takes now
		case errors.Is(err, windows.ERROR_NO_DATA):
			return nil
		case err != nil:
			return fmt.Errorf("list the node's adapters: %w", err)
		}
		for a := first; a != nil; a = a.Next {
			visit(a)
		}
		return nil
	}
}
