// SPDX-License-Identifier: Apache-2.0

// Package aclsync programs the rules of one owner on endpoints that are in use. It adds
// and removes the owner's rules alone, so that a rule which another agent writes at the
// same moment stays. Where HNS does not remove what it is told to, everything is read,
// changed and written back. A lock of the endpoint keeps its callers, in one process or
// in two, from each other.
package aclsync

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/acl"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// ErrDiffers is the kind of error when an endpoint has other rules than HNS accepted.
var ErrDiffers = errors.New("rules differ")

// HNS is what this package needs of hns.Client.
type HNS interface {
	Endpoint(ctx context.Context, id string) (hns.Endpoint, error)
	SetPolicies(ctx context.Context, id string, policies []hns.Policy) error
	AddPolicies(ctx context.Context, id string, policies []hns.Policy) error
	RemovePolicies(ctx context.Context, id string, policies []hns.Policy) error
}

// maxAtOnce is how many rules HNS is given at once (Azure/azure-container-networking,
// npm/pkg/dataplane/policies).
const maxAtOnce = 30

// lockTime is longer than a process takes that programs an endpoint.
const lockTime = 10 * time.Second

// Syncer programs rules on the endpoints of one node.
type Syncer struct {
	HNS  HNS
	Lock nodelock.Lock
}

// Sync makes rules the only ones of their owner on an endpoint; none takes the
// owner's away. Every other policy stays as it was read. Rules that are there already
// cost no change. It fails with hns.ErrNotFound when the endpoint does not exist, and with
// ErrDiffers when HNS does not show the rules afterwards.
func (s Syncer) Sync(ctx context.Context, endpointID string, owner acl.Owner, rules []hns.ACL) error {
	// Without the lock two of our own processes can add a rule twice, which the next Sync
	// mends: no reason to let whoever holds it keep a pod from its rules.
	limited, cancel := context.WithTimeout(ctx, nodelock.Share(ctx, lockTime))
	defer cancel()
	if release, err := s.Lock(limited, "endpoint-"+endpointID); err == nil {
		defer release()
	} else if ctx.Err() != nil {
		return problem.New(nil, err, "wait for another process that programs endpoint %s", endpointID)
	}
	e, err := s.HNS.Endpoint(ctx, endpointID)
	if err != nil {
		return err
	}
	missing, unwanted := plan.RuleChanges(owner, rules, e.Policies)
	if len(missing)+len(unwanted) == 0 {
		return nil
	}
	for some := range slices.Chunk(missing, maxAtOnce) {
		if err := s.HNS.AddPolicies(ctx, e.ID, some); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(unwanted, maxAtOnce) {
		_ = s.HNS.RemovePolicies(ctx, e.ID, some) // its failure shows in what is there then
	}
	got, err := s.HNS.Endpoint(ctx, e.ID)
	if err != nil {
		return err
	}
	if missing, unwanted = plan.RuleChanges(owner, rules, got.Policies); len(missing)+len(unwanted) > 0 {
		got, err = s.replace(ctx, got, owner, rules)
	}
	if err != nil {
		return err
	}
	if ds := plan.DiffPolicies(owner, plan.ReplaceRules(owner, nil, rules), got.Policies); len(ds) > 0 {
		return problem.New(ErrDiffers, nil, "endpoint %s after HNS took the rules: %s", e.Label(), plan.Differences(ds))
	}
	return nil
}

// replace writes all policies of an endpoint, as they were just read, with the owner's
// rules among them. What is lost of the others is put back: HNS may have dropped it.
func (s Syncer) replace(ctx context.Context, e hns.Endpoint, owner acl.Owner, rules []hns.ACL) (hns.Endpoint, error) {
	if err := s.HNS.SetPolicies(ctx, e.ID, plan.ReplaceRules(owner, e.Policies, rules)); err != nil {
		return hns.Endpoint{}, err
	}
	got, err := s.HNS.Endpoint(ctx, e.ID)
	if err != nil {
		return hns.Endpoint{}, err
	}
	lost := plan.MissingPolicies(plan.ReplaceRules(owner, e.Policies, nil), got.Policies)
	if len(lost) == 0 {
		return got, nil
	}
	if err := s.HNS.AddPolicies(ctx, e.ID, lost); err != nil {
		return hns.Endpoint{}, problem.New(ErrDiffers, err, "put back what other agents had on endpoint %s", e.Label())
	}
	if got, err = s.HNS.Endpoint(ctx, e.ID); err != nil {
		return hns.Endpoint{}, err
	}
	if lost = plan.MissingPolicies(lost, got.Policies); len(lost) > 0 {
		return hns.Endpoint{}, problem.New(ErrDiffers, nil, "HNS lost %d policies of other agents on endpoint %s", len(lost), e.Label())
	}
	return got, nil
}
