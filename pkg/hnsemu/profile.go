// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Profile is a release of Windows Server as far as the emulator tells releases
// apart. What depends on the version of HNS alone follows Version.
type Profile struct {
	// Name is the Windows Server release: "2019".
	Name string
	// Version is what /globals/version answers; features follow it.
	Version hns.Version
	// Build is the build of Windows.
	Build int
	// AddressTaken is the answer to an address that is in use or reserved;
	// 0x803b002f when it is 0.
	AddressTaken hns.HRESULT
	// ErrorsInBody makes HNSCall succeed and put the error into its answer, as
	// Windows Server 2016 does always and 2019 sometimes
	// (Azure/azure-container-networking#715).
	ErrorsInBody bool
	// LaxExceptions accepts OutBoundNAT exceptions that have host bits
	// (microsoft/hcsshim#1951) or are no prefixes at all. The latter degrade the
	// endpoint when its container starts (containerd/containerd#5729).
	LaxExceptions bool
	// LaxRoutes ignores endpoint routes without a next hop, which newer releases
	// refuse (microsoft/windows-container-networking#116).
	LaxRoutes bool
	// ReattachFails makes a container fail to start in a namespace that another
	// container has left empty (moby/buildkit#5668).
	ReattachFails bool
	// RestartKeepsEndpoints keeps the endpoints when the service restarts.
	// Without it, running pods keep an interface that HNS does not know any
	// more (docker/for-win#12425).
	RestartKeepsEndpoints bool
	// ManagementIPDelay is how long a new network on an adapter has no
	// ManagementIP. No profile sets it.
	ManagementIPDelay time.Duration
}

// Profiles lists the profiles, oldest first.
func Profiles() []Profile {
	return []Profile{
		{
			Name: "2019", Version: hns.Version{Major: 9, Minor: 5}, Build: 17763,
			AddressTaken:  hns.CodeObjectExists,
			LaxExceptions: true, LaxRoutes: true,
			ReattachFails: true, RestartKeepsEndpoints: true,
		},
		{
			Name: "2022", Version: hns.Version{Major: 13, Minor: 3}, Build: 20348,
			AddressTaken: hns.CodeAddressReserved,
		},
		{
			Name: "2025", Version: hns.Version{Major: 15, Minor: 4}, Build: 26100,
			AddressTaken: hns.CodeAddressReserved,
		},
	}
}

// ProfileNamed returns the profile of that name. It is an error when there is
// none.
func ProfileNamed(name string) (Profile, error) {
	for _, p := range Profiles() {
		if p.Name == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("profile %q is not one of 2019, 2022, 2025", name)
}

// Unknowns choose between two answers where the real one is not known (HNS.md).
// The zero value chooses the likelier answers. Code that is to work on Windows
// must work with both.
type Unknowns struct {
	// IgnoreID: the id that a client chooses for a network or an endpoint, in its
	// document or beside it, is not honoured. For namespaces it is
	// (microsoft/hcsshim#1049).
	IgnoreID bool
	// TakenIDOpens: HcnCreateEndpoint with the id of an endpoint that exists
	// opens that one, whatever the document says, instead of answering
	// 0x80071392.
	TakenIDOpens bool
	// ReAddFails: adding an endpoint to the namespace it is in already answers
	// 0x803b002b instead of success.
	ReAddFails bool
	// GenericNotFound: Open and Delete of an unknown network or endpoint, and
	// adding an unknown endpoint to a namespace, answer 0x80070490 instead of
	// the typed codes 0x803b0001 and 0x803b0002.
	GenericNotFound bool
	// DenyPerDirection: an ACL makes only its own direction default to deny,
	// instead of both.
	DenyPerDirection bool
	// NATBySwitch: on a nat network Switch rules are enforced and Host rules
	// are not, instead of the other way round (microsoft/Windows-Containers#617).
	NATBySwitch bool
	// UpdateReplacesAll: a policy Update replaces the policies of every type,
	// instead of the ACLs and the types that it mentions.
	UpdateReplacesAll bool
	// AttachedOnAdd: an endpoint becomes Attached when it is added to a
	// namespace, instead of when a container starts there.
	AttachedOnAdd bool
	// LaxPortMapping: an l2bridge network accepts a PortMapping without the
	// flag LocalRoutedVip, instead of answering 0x803b000e
	// (microsoft/Windows-Containers#360).
	LaxPortMapping bool
	// ReferencesBlockDelete: an endpoint that a load balancer or a route refers
	// to cannot be deleted (0x803b002c), instead of being dropped from them.
	ReferencesBlockDelete bool
	// EndpointsSurviveReboot: endpoints on networks that survive a reboot do
	// so too and hold their addresses (docker/for-win#13965).
	EndpointsSurviveReboot bool
	// NamesIgnoreCase: names of networks and endpoints are compared without
	// regard to letter case.
	NamesIgnoreCase bool
	// NoProviderAddress: an overlay network that was made without a provider
	// address tells none, instead of the node's as soon as it has it.
	NoProviderAddress bool
	// SCTPWithoutPorts: an ACL with ports is about TCP and UDP only, instead of SCTP, too.
	SCTPWithoutPorts bool
}
