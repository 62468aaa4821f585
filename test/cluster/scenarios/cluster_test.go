// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
	"github.com/bulkhead-cni/bulkhead/test/cluster/supervisor"
)

// folderVar has the folder of the cluster that is up.
const folderVar = "BULKHEAD_CLUSTER"

// patience is how long anything may take on a busy machine. BULKHEAD_PATIENCE shortens it for
// runs with a fault, in which most tests wait in vain.
var patience = patienceOf(os.Getenv("BULKHEAD_PATIENCE"))

func patienceOf(text string) time.Duration {
	if text == "" {
		return 4 * time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		panic("BULKHEAD_PATIENCE: " + err.Error())
	}
	return d
}

// cluster is the cluster that is up, and a namespace of it for one test.
type cluster struct {
	*testing.T
	spec.Cluster
	api *kubernetes.Clientset
	hns supervisor.Client
	ns  string
}

// open returns the cluster with a namespace for the test. At its end the namespace is
// deleted, and nothing of its pods may be left anywhere.
func open(t *testing.T) *cluster {
	t.Helper()
	dir := os.Getenv(folderVar)
	if dir == "" {
		t.Skip("no cluster is up: scripts/cluster.sh test starts one")
	}
	of, err := spec.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", of.In("kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 200, 400
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t, of, api, supervisor.NewClient(dir), ""}
	ns, err := api.CoreV1().Namespaces().Create(c.ctx(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.ns = ns.Name
	c.eventually("the namespace has its account", func() error {
		_, err := api.CoreV1().ServiceAccounts(c.ns).Get(c.ctx(), "default", metav1.GetOptions{})
		return err
	})
	t.Cleanup(c.close)
	c.eventually("every node takes pods", c.untainted)
	return c
}

// untainted reports a Windows node that takes no pods. One whose network an earlier test
// removed may not be ready for a moment.
func (c *cluster) untainted() error {
	nodes, err := c.api.CoreV1().Nodes().List(c.ctx(), metav1.ListOptions{LabelSelector: "kubernetes.io/os=windows"})
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		if len(n.Spec.Taints) > 0 {
			return fmt.Errorf("%s has %v", n.Name, n.Spec.Taints)
		}
	}
	if len(nodes.Items) != len(c.Nodes) {
		return fmt.Errorf("there are %d", len(nodes.Items))
	}
	return nil
}

// close deletes the test's namespace and checks that nothing is left.
func (c *cluster) close() {
	if c.Failed() {
		c.report()
	}
	if err := c.api.CoreV1().Namespaces().Delete(context.Background(), c.ns, metav1.DeleteOptions{}); err != nil {
		c.Error(err)
	}
	c.Helper()
	c.eventually("the namespace is gone", func() error {
		pods, err := c.api.CoreV1().Pods(c.ns).List(context.Background(), metav1.ListOptions{})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("%d pods are left", len(pods.Items))
		}
		return err
	})
	c.eventually("nothing is left on the nodes", c.leftovers)
}

// report tells what the pods of a test that failed are doing.
func (c *cluster) report() {
	for _, what := range [][]string{
		{"get", "nodes", "-o", "wide"},
		{"get", "nodes", "-o", "custom-columns=NAME:.metadata.name,TAINTS:.spec.taints[*].key"},
		{"get", "pods", "-o", "wide"},
		{"get", "events", "--sort-by=.lastTimestamp"},
	} {
		out, err := c.kubectl(append([]string{"-n", c.ns}, what...)...)
		c.Logf("kubectl %s: %v\n%s", strings.Join(what, " "), err, out)
	}
}

// leftovers compares the nodes with the pods that the API server has on them.
func (c *cluster) leftovers() error {
	pods, err := c.api.CoreV1().Pods("").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	onNode := map[string]int{}
	for _, p := range pods.Items {
		if !p.Spec.HostNetwork {
			onNode[p.Spec.NodeName]++
		}
	}
	var failures []error
	for _, n := range c.Nodes {
		state, err := c.hns.HNS(context.Background(), n.Name)
		if err != nil {
			return err
		}
		endpoints := slices.DeleteFunc(slices.Clone(state.Endpoints), func(e hnsemu.EndpointState) bool { return !isPods(e) })
		if got, want := len(endpoints), onNode[n.Name]; got != want {
			failures = append(failures, fmt.Errorf("%s has %d endpoints and %d pods", n.Name, got, want))
		}
		if got, want := len(state.Containers), onNode[n.Name]; got != want {
			failures = append(failures, fmt.Errorf("%s has %d sandboxes and %d pods", n.Name, got, want))
		}
		namespaces := slices.DeleteFunc(slices.Clone(state.Namespaces), func(s hnsemu.NamespaceState) bool { return strings.HasPrefix(s.Type, "HostDefault") })
		if got, want := len(namespaces), onNode[n.Name]; got != want {
			failures = append(failures, fmt.Errorf("%s has %d namespaces and %d pods", n.Name, got, want))
		}
		files, err := filepath.Glob(filepath.Join(c.machine(n), "root", c.PodNetNS(n, "*")))
		if err != nil {
			return err
		}
		if got, want := len(files), onNode[n.Name]; got != want {
			failures = append(failures, fmt.Errorf("%s has %d network namespaces and %d pods", n.Name, got, want))
		}
		if got, want := len(c.reserved(n)), onNode[n.Name]; got != want && c.usesHostLocal() {
			failures = append(failures, fmt.Errorf("%s has %d addresses reserved and %d pods", n.Name, got, want))
		}
	}
	for _, n := range c.LinuxNodes {
		if got, want := len(c.addresses(n, "run/cni/networks/*/*")), onNode[n.Name]*len(n.Subnets); got != want {
			failures = append(failures, fmt.Errorf("%s has %d addresses reserved and %d pods", n.Name, got, onNode[n.Name]))
		}
	}
	return errors.Join(failures...)
}

// podEndpoint is an endpoint of a pod: another one is kube-proxy's or the node's own.
var podEndpoint = regexp.MustCompile(`^[0-9a-f]{64}_`)

func isPods(e hnsemu.EndpointState) bool { return !e.Remote && podEndpoint.MatchString(e.Name) }

// usesHostLocal reports whether the cluster's addresses come from host-local, one a pod.
func (c *cluster) usesHostLocal() bool {
	return strings.Contains(c.Nodes[0].Conf, `"host-local"`) && !c.Nodes[0].DualStack()
}

// machine returns the process, as a folder of proc(5), in whose namespaces a node is.
func (c *cluster) machine(n spec.Node) string {
	c.Helper()
	agent, err := c.Machine(n)
	if err != nil {
		c.Fatal(err)
	}
	return agent
}

// drive returns the folder that is a node's drive C, as the node's own processes see it.
func (c *cluster) drive(n spec.Node) string {
	c.Helper()
	return filepath.Join(c.machine(n), "root", c.Drive(n))
}

// windows returns a command that runs a program of a node's folder of CNI plugins.
func (c *cluster) windows(ctx context.Context, n spec.Node, name string, args ...string) *exec.Cmd {
	c.Helper()
	loader := "wine"
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), fmt.Sprintf("HNSEMU_ADDR=127.0.0.1:%d", spec.HNSPort), "WINEPREFIX=" + c.In(n.Name, "prefix"), "TMPDIR=" + c.In(n.Name, "tmp")}
	for _, v := range c.Wine {
		if path, ok := strings.CutPrefix(v, "WINELOADER="); ok {
			loader = path
		}
		env = append(env, v)
	}
	line := []string{"--target", filepath.Base(c.machine(n)), "--mount", "--net", "--pid", "--", loader, filepath.Join(c.Drive(n), spec.BinDir, name)}
	cmd := exec.CommandContext(ctx, "nsenter", append(line, args...)...)
	cmd.Env = env
	return cmd
}

// bulkhead runs a command of bulkhead.exe on a node, as its administrator would.
func (c *cluster) bulkhead(n spec.Node, args ...string) (string, error) {
	c.Helper()
	out, err := c.windows(context.Background(), n, "bulkhead.exe", args...).CombinedOutput()
	return string(out), err
}

// reserved returns the addresses that are reserved on a Windows node.
func (c *cluster) reserved(n spec.Node) []string {
	c.Helper()
	return c.addresses(n, filepath.Join(c.Drive(n), "ProgramData/bulkhead/networks/*/*.*.*.*"))
}

// addresses returns those that files of a node have for names.
func (c *cluster) addresses(n spec.Node, pattern string) []string {
	c.Helper()
	files, err := filepath.Glob(filepath.Join(c.machine(n), "root", pattern))
	if err != nil {
		c.Fatal(err)
	}
	var out []string
	for _, f := range files {
		if _, err := netip.ParseAddr(filepath.Base(f)); err == nil {
			out = append(out, filepath.Base(f))
		}
	}
	return out
}

func (c *cluster) ctx() context.Context { return c.Context() }

// eventually fails the test unless something comes true in time.
func (c *cluster) eventually(what string, is func() error) {
	c.Helper()
	var last error
	err := wait.PollUntilContextTimeout(context.Background(), 100*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		last = is()
		return last == nil, nil
	})
	if err != nil {
		c.Fatalf("%s: not in %s: %v", what, patience, last)
	}
}

// commandTime is how long a call of kubectl may take.
const commandTime = time.Minute

// kubectl runs kubectl and returns what it prints on standard output.
func (c *cluster) kubectl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Program("kubectl"), append([]string{"--kubeconfig", c.In("kubeconfig")}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), err
}

// exec runs a program in a pod's first container.
func (c *cluster) exec(pod string, args ...string) (string, error) {
	out, err := c.kubectl(append([]string{"-n", c.ns, "exec", pod, "--"}, args...)...)
	return strings.TrimSpace(out), err
}

// command does something to a node, as scripts/cluster.sh node does.
func (c *cluster) command(node, verb string) {
	c.Helper()
	if err := c.hns.Node(context.Background(), node, verb); err != nil {
		c.Fatalf("node %s %s: %v", node, verb, err)
	}
}

// endpoint returns the endpoint that has an address on a node.
func (c *cluster) endpoint(node, address string) hnsemu.EndpointState {
	c.Helper()
	state, err := c.hns.HNS(c.ctx(), node)
	if err != nil {
		c.Fatal(err)
	}
	for _, e := range state.Endpoints {
		for _, a := range e.Addresses {
			if a.Addr().String() == address && !e.Remote {
				return e
			}
		}
	}
	c.Fatalf("%s has no endpoint with %s", node, address)
	return hnsemu.EndpointState{}
}
