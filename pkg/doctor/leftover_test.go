// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/doctor"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
)

// What is not surely stale says why, and nothing removes it.
func TestLeftovers(t *testing.T) {
	gone := func(i *node.Inventory) { pod2(i); i.Namespaces = i.Namespaces[:2] }
	leaked := func(i *node.Inventory, id string, since time.Duration) {
		i.Reservations = append(i.Reservations, reserved("10.1.0.11", id, ago(since)))
	}
	tests := []struct {
		name  string
		plant func(i *node.Inventory)
		kind  doctor.Kind
		sure  bool
		why   string
	}{
		{"namespace gone", gone, doctor.LeftEndpoint, true, "its namespace ns2 is gone"},
		{"namespace gone, of another interface", func(i *node.Inventory) { gone(i); i.Endpoints[2].Name += "#eth1" }, doctor.LeftEndpoint, true, "is gone"},
		{"its container lives", func(i *node.Inventory) {
			gone(i)
			i.Namespaces[1].Containers = append(i.Namespaces[1].Containers, sandbox(2))
		}, doctor.LeftEndpoint, false, "but its container is in a namespace"},
		{"its double lives", func(i *node.Inventory) {
			gone(i)
			i.Endpoints[2].Name = i.Endpoints[1].Name
			i.Namespaces[1].Containers = nil
		}, doctor.LeftEndpoint, false, "but another endpoint of its name is in a namespace"},
		{"no conflist", func(i *node.Inventory) { gone(i); i.Conflists = nil }, doctor.LeftEndpoint, false, "but no conflist"},
		{"another IPAM plugin", func(i *node.Inventory) {
			gone(i)
			i.Conflists[0].Plugins[0].IPAM = config.IPAM{Type: "azure-ipam"}
		}, doctor.LeftEndpoint, false, "but the IPAM plugin azure-ipam has its address"},
		{"in no namespace, long since", func(i *node.Inventory) { gone(i); i.Endpoints[2].NamespaceID = "" }, doctor.LeftEndpoint, true, "in no namespace"},
		{"in no namespace, lately", func(i *node.Inventory) {
			gone(i)
			i.Endpoints[2].NamespaceID, i.Reservations[1].Since = "", ago(2*time.Minute)
		}, doctor.LeftEndpoint, false, "lately"},
		{"in no namespace, since the future", func(i *node.Inventory) {
			gone(i)
			i.Endpoints[2].NamespaceID, i.Reservations[1].Since = "", ago(-time.Hour)
		}, doctor.LeftEndpoint, false, "lately"},
		{"in no namespace, an ADD may take longer", func(i *node.Inventory) {
			gone(i)
			i.Endpoints[2].NamespaceID, i.Reservations[1].Since = "", ago(5*time.Minute)
			i.Conflists[0].Plugins[0].Timeouts.Add = 10 * time.Minute
		}, doctor.LeftEndpoint, false, "lately"},
		{"in no namespace, nobody tells since when", func(i *node.Inventory) {
			gone(i)
			i.Endpoints[2].NamespaceID, i.Reservations = "", i.Reservations[:1]
		}, doctor.LeftEndpoint, false, "since when nobody tells"},
		{"address without endpoint", func(i *node.Inventory) { leaked(i, sandbox(3), time.Hour) }, doctor.LeftAddress, true, "reserved for no endpoint, since"},
		{"address, lately", func(i *node.Inventory) { leaked(i, sandbox(3), time.Minute) }, doctor.LeftAddress, false, "lately"},
		{"source VIP", func(i *node.Inventory) { leaked(i, "kube-proxy", time.Hour) }, doctor.LeftAddress, false, "no sandbox's id"},
		{"address of a container that lives", func(i *node.Inventory) {
			leaked(i, sandbox(3), time.Hour)
			i.Namespaces[1].Containers = append(i.Namespaces[1].Containers, sandbox(3))
		}, doctor.LeftAddress, false, "but its container is in a namespace"},
		{"address of an old host-local", func(i *node.Inventory) {
			leaked(i, sandbox(3), time.Hour)
			i.Reservations[1].Attachment.IfName = ""
		}, doctor.LeftAddress, false, "names no interface"},
		{"namespace", func(i *node.Inventory) { i.Namespaces = append(i.Namespaces, hns.Namespace{ID: "ns9"}) }, doctor.LeftNamespace, false, "just begins"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := healthy(t)
			tt.plant(i)
			got := doctor.Leftovers(*i)
			if len(got) != 1 || got[0].Kind != tt.kind || got[0].Sure != tt.sure || !strings.Contains(got[0].Why, tt.why) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// What somebody uses, or what cannot be known, is no leftover.
func TestNoLeftovers(t *testing.T) {
	stale := func(i *node.Inventory) { pod2(i); i.Namespaces = i.Namespaces[:2]; i.Endpoints[2].Remote = true }
	for name, plant := range map[string]func(i *node.Inventory){
		"healthy":         func(*node.Inventory) {},
		"remote endpoint": func(i *node.Inventory) { stale(i); i.Reservations = i.Reservations[:1] },
		"another's": func(i *node.Inventory) {
			i.Endpoints = append(i.Endpoints, endpoint("e9", "Calico_ep", "", "10.1.0.9"))
		},
		"second interface": func(i *node.Inventory) {
			i.Reservations = append(i.Reservations, reserved("10.1.0.12", sandbox(1), ago(time.Hour)))
		},
		"of its endpoint":        func(i *node.Inventory) { i.Reservations[0].Attachment.ContainerID = sandbox(9) },
		"of a pod that HNS lost": func(i *node.Inventory) { i.Endpoints, i.Namespaces[1].Endpoints = i.Endpoints[:1], nil },
		"blank": func(i *node.Inventory) {
			i.Reservations = append(i.Reservations, ipam.Reservation{Network: "podnet", Addr: i.Reservations[0].Addr.Next(), Since: ago(time.Hour)})
		},
		"namespaces unread": func(i *node.Inventory) {
			pod2(i)
			i.Namespaces, i.Failures = nil, []node.Failure{{Part: node.HNS, Err: native(5)}}
		},
		"endpoints unread": func(i *node.Inventory) {
			i.Reservations = append(i.Reservations, reserved("10.1.0.11", sandbox(3), ago(time.Hour)))
			i.Failures = []node.Failure{{Part: node.Endpoints, Err: fmt.Errorf("lists half")}}
		},
		"reservations unread": func(i *node.Inventory) {
			i.Reservations = append(i.Reservations, reserved("10.1.0.11", sandbox(3), ago(time.Hour)))
			i.Failures = []node.Failure{{Part: node.Reservations, Err: native(5)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := healthy(t)
			plant(i)
			if got := doctor.Leftovers(*i); len(got) > 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
}
