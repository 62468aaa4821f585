// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/google/go-cmp/cmp"
)

// allocates is host-local: ours in this process, or the executable.
type allocates interface {
	add(r request) ([]netip.Addr, error)
	del(r request) error
	check(r request) error
}

// inProcess is ours.
type inProcess struct{ parsing }

func (p inProcess) add(r request) ([]netip.Addr, error) {
	got, err := p.Add(context.Background(), r)
	var out []netip.Addr
	for _, a := range got.Addresses {
		out = append(out, a.Prefix.Addr())
	}
	return out, err
}
func (p inProcess) del(r request) error   { return p.Del(context.Background(), r) }
func (p inProcess) check(r request) error { return p.Check(context.Background(), r) }

// executable is the path of host-local as the CNI project builds it.
type executable string

// buildHostLocal builds host-local from the module that go.mod names.
func buildHostLocal(t *testing.T) executable {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the test builds host-local with go, which is not on the Windows side")
	}
	exe := filepath.Join(tempDir(t), "host-local")
	cmd := exec.Command("go", "build", "-o", exe, "github.com/containernetworking/plugins/plugins/ipam/host-local")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build host-local: %v\n%s", err, out)
	}
	return executable(exe)
}

func (e executable) run(verb string, r request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, string(e))
	cmd.Stdin = bytes.NewReader(r.Conf)
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+verb, "CNI_CONTAINERID="+r.ContainerID, "CNI_IFNAME="+r.IfName,
		"CNI_NETNS=none", "CNI_PATH="+filepath.Dir(string(e)), "CNI_ARGS="+r.Args)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("host-local %s: %w: %s", verb, err, out)
	}
	return out, nil
}

func (e executable) add(r request) ([]netip.Addr, error) {
	out, err := e.run("ADD", r)
	if err != nil {
		return nil, err
	}
	var res current.Result
	if err := json.Unmarshal(out, &res); err != nil {
		return nil, err
	}
	var addresses []netip.Addr
	for _, ip := range res.IPs {
		a, _ := netip.AddrFromSlice(ip.Address.IP)
		addresses = append(addresses, a.Unmap())
	}
	return addresses, nil
}

func (e executable) del(r request) error   { _, err := e.run("DEL", r); return err }
func (e executable) check(r request) error { _, err := e.run("CHECK", r); return err }

// claims is the test's own record of who has an address.
type claims struct {
	mu  sync.Mutex
	who map[string]string
}

// take fails when somebody has one of the addresses.
func (c *claims) take(r request, addresses []netip.Addr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(addresses) == 0 {
		return fmt.Errorf("%s got no address", r.ContainerID)
	}
	for _, a := range addresses {
		if other, taken := c.who[a.String()]; taken {
			return fmt.Errorf("%s was given to %s, who has not given it back, and to %s", a, other, r.ContainerID)
		}
		c.who[a.String()] = contentOf(r.holder())
	}
	return nil
}

// leave is called before the address is given back.
func (c *claims) leave(r request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a, who := range c.who {
		if who == contentOf(r.holder()) {
			delete(c.who, a)
		}
	}
}

// Both are used on one directory at once, as on a node that is being upgraded.
// The ranges are so narrow that every address goes round many times, and so
// wide that none of the workers may be refused.
func TestHostLocalAndItsExecutableShareADirectory(t *testing.T) {
	exe, dir := buildHostLocal(t), tempDir(t)
	sides := []allocates{inProcess{open("host-local")}, exe}
	const workers, perWorker = 8, 2
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	c := hostLocalConf(t, dir, `[[{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.25"}],[{"subnet":"fd00::/64","rangeStart":"fd00::10","rangeEnd":"fd00::1f"}]]`)
	told := &claims{who: map[string]string{}}
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(w)))
			var mine []request
			for round := range rounds {
				r := request{ContainerID: fmt.Sprintf("w%d-%d", w, round), IfName: "eth0", Conf: c}
				if err := takeTurn(sides, rng, told, r, &mine, perWorker); err != nil {
					t.Errorf("%s: %v", r.ContainerID, err)
					return
				}
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff(told.who, heldIn(t, dir)); diff != "" {
		t.Errorf("who has what (-told +in the files):\n%s", diff)
	}
	if len(told.who) < workers {
		t.Errorf("%d addresses are held, want some of each worker", len(told.who))
	}
}

// takeTurn allocates with one side and has the other confirm it; of more than
// most it gives the oldest back, with whichever side.
func takeTurn(sides []allocates, rng *rand.Rand, told *claims, r request, mine *[]request, most int) error {
	got, err := sides[rng.IntN(2)].add(r)
	if err == nil {
		err = told.take(r, got)
	}
	if err == nil {
		err = sides[rng.IntN(2)].check(r)
	}
	*mine = append(*mine, r)
	if err != nil || len(*mine) < most {
		return err
	}
	oldest := (*mine)[0]
	*mine = (*mine)[1:]
	told.leave(oldest)
	return sides[rng.IntN(2)].del(oldest)
}

// What one side reserved the other sees, passes over and releases.
func TestHostLocalAndItsExecutableReleaseEachOthers(t *testing.T) {
	exe := buildHostLocal(t)
	ours := inProcess{open("host-local")}
	for name, sides := range map[string][2]allocates{"ours, then the executable's": {ours, exe}, "the executable's, then ours": {exe, ours}} {
		t.Run(name, func(t *testing.T) {
			dir := tempDir(t)
			c := hostLocalConf(t, dir, dualStack)
			first, second := request{ContainerID: "c1", IfName: "eth0", Conf: c}, request{ContainerID: "c2", IfName: "net1", Conf: c}
			for i, r := range []request{first, second} {
				if _, err := sides[i].add(r); err != nil {
					t.Fatal(err)
				}
			}
			want := map[string]string{
				"10.1.0.2": "c1\r\neth0", "fd00::2": "c1\r\neth0",
				"10.1.0.3": "c2\r\nnet1", "fd00::3": "c2\r\nnet1",
			}
			if diff := cmp.Diff(want, heldIn(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			for i, r := range []request{first, second} {
				if err := sides[1-i].check(r); err != nil {
					t.Errorf("the other side does not see %s: %v", r.ContainerID, err)
				}
				if err := sides[1-i].del(r); err != nil {
					t.Errorf("the other side does not release %s: %v", r.ContainerID, err)
				}
				if err := sides[i].check(r); err == nil || !strings.Contains(err.Error(), r.ContainerID) {
					t.Errorf("after the other side's DEL of %s: %v", r.ContainerID, err)
				}
			}
			if got := heldIn(t, dir); len(got) != 0 {
				t.Errorf("left: %v", got)
			}
		})
	}
}
