// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// A hundred pods from twenty runtimes at once, each adding five and then deleting
// them: every pod gets an address of its own, and nothing is left.
func TestHundredPodsAtOnce(t *testing.T) {
	const runtimes, podsEach = 20, 5
	p := newPlugin(t, "2022")
	pods := &crowd{plugin: p, conf: p.conf(hns.L2Bridge), owner: map[string]string{}}
	var wg sync.WaitGroup
	for r := range runtimes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var mine []pod
			for i := range podsEach {
				added, err := pods.add(fmt.Sprintf("c%d-%d", r, i))
				if err != nil {
					t.Error(err)
				}
				mine = append(mine, added)
			}
			for _, m := range mine {
				if err := pods.remove(m); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	p.nothingLeft("after all DELs")
	t.Logf("%d pods, at most %d alive at once", runtimes*podsEach, pods.most)
	if pods.most < runtimes {
		t.Errorf("at most %d pods lived at once", pods.most)
	}
}

// pod is a pod that was added.
type pod struct {
	call
	address string
}

// crowd keeps book of which live pod has which address.
type crowd struct {
	*plugin
	conf  string
	mu    sync.Mutex
	owner map[string]string
	most  int
}

func (c *crowd) add(id string) (pod, error) {
	ns, err := c.hns.CreateNamespace(context.Background(), "")
	if err != nil {
		return pod{}, err
	}
	made := pod{call: call{verb: "ADD", id: id, netns: ns.ID, conf: c.conf}}
	r, err := c.invoke(made.call)
	if err != nil {
		return made, err
	}
	result, err := added(r)
	if err != nil {
		return made, fmt.Errorf("%s: ADD: %w", id, err)
	}
	made.address = result.IPs[0].Address.String()
	c.mu.Lock()
	defer c.mu.Unlock()
	if other, taken := c.owner[made.address]; taken {
		return made, fmt.Errorf("%s was given to %s and to %s", made.address, other, id)
	}
	c.owner[made.address] = id
	c.most = max(c.most, len(c.owner))
	return made, nil
}

func (c *crowd) remove(gone pod) error {
	c.mu.Lock()
	delete(c.owner, gone.address)
	c.mu.Unlock()
	gone.verb = "DEL"
	r, err := c.invoke(gone.call)
	return errors.Join(err, deleted(r), c.hns.DeleteNamespace(context.Background(), gone.netns))
}
