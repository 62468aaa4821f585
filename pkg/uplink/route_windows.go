// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"fmt"
	"net/netip"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Routes returns the routes of both families that an admin made, in Windows' order.
func (Windows) Routes() ([]Route, error) {
	var table *windows.MibIpForwardTable2
	if err := windows.GetIpForwardTable2(windows.AF_UNSPEC, &table); err != nil {
		return nil, fmt.Errorf("list the node's routes: %w", err)
	}
	defer windows.FreeMibTable(unsafe.Pointer(table))
	var out []Route
	for _, row := range table.Rows() {
		if row.Protocol != windows.MIB_IPPROTO_NETMGMT || row.Origin != windows.NlroManual || row.Loopback != 0 {
			continue
		}
		destination := netip.PrefixFrom(address(&row.DestinationPrefix.Prefix), int(row.DestinationPrefix.PrefixLength))
		nextHop := address(&row.NextHop)
		if destination.IsValid() && nextHop.IsValid() {
			out = append(out, Route{destination, nextHop, row.Metric})
		}
	}
	return out, nil
}

var (
	iphlpapi   = windows.NewLazySystemDLL("iphlpapi.dll")
	initialise = iphlpapi.NewProc("InitializeIpForwardEntry")
	create     = iphlpapi.NewProc("CreateIpForwardEntry2")
)

// AddRoute makes a route that holds until the next restart: then Windows makes the
// persistent ones itself, of which this is one.
func (Windows) AddRoute(r Route, name string) error {
	row := windows.MibIpForwardRow2{}
	err := eachAdapter(func(a *windows.IpAdapterAddresses) {
		if strings.EqualFold(windows.UTF16PtrToString(a.FriendlyName), name) {
			row.InterfaceLuid = a.Luid
		}
	})
	if err == nil && row.InterfaceLuid == 0 {
		err = fmt.Errorf("there is no interface %q", name)
	}
	for _, p := range []*windows.LazyProc{initialise, create} {
		if err == nil {
			err = p.Find()
		}
	}
	if err != nil {
		return fmt.Errorf("add the route %s: %w", r, err)
	}
	luid := row.InterfaceLuid
	_, _, _ = initialise.Call(uintptr(unsafe.Pointer(&row))) // returns nothing
	row.InterfaceLuid, row.Metric, row.Protocol = luid, r.Metric, windows.MIB_IPPROTO_NETMGMT
	setAddress(&row.DestinationPrefix.Prefix, r.Destination.Addr())
	row.DestinationPrefix.PrefixLength = uint8(r.Destination.Bits())
	setAddress(&row.NextHop, r.NextHop)
	if code, _, _ := create.Call(uintptr(unsafe.Pointer(&row))); code != 0 {
		return fmt.Errorf("add the route %s on %q: %w", r, name, windows.Errno(code))
	}
	return nil
}

// address reads a SOCKADDR_INET, a union that its family tells apart.
func address(s *windows.RawSockaddrInet) netip.Addr {
	switch s.Family {
	case windows.AF_INET:
		return netip.AddrFrom4((*windows.RawSockaddrInet4)(unsafe.Pointer(s)).Addr)
	case windows.AF_INET6:
		return netip.AddrFrom16((*windows.RawSockaddrInet6)(unsafe.Pointer(s)).Addr)
	default:
		return netip.Addr{}
	}
}

func setAddress(s *windows.RawSockaddrInet, a netip.Addr) {
	if a.Is4() {
		s.Family = windows.AF_INET
		(*windows.RawSockaddrInet4)(unsafe.Pointer(s)).Addr = a.As4()
		return
	}
	s.Family = windows.AF_INET6
	(*windows.RawSockaddrInet6)(unsafe.Pointer(s)).Addr = a.As16()
}
