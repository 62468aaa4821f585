// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// image is what the tests' pods run.
const image = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"

// web is a container that answers over HTTP on a port, with its pod's name.
func web(name string, port int) corev1.Container {
	return corev1.Container{
		Name: name, Image: image, Args: []string{"netexec", fmt.Sprintf("--http-port=%d", port), "--udp-port=-1"},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/hostname", Port: intstr.FromInt32(int32(port))}},
			PeriodSeconds: 1,
		},
	}
}

// pods returns what pods for the nodes have in common.
func pods(containers ...corev1.Container) corev1.PodSpec {
	var none int64
	return corev1.PodSpec{
		Containers: containers, NodeSelector: map[string]string{"kubernetes.io/os": "windows"},
		TerminationGracePeriodSeconds: &none,
	}
}

// on pins pods to a node.
func on(node string, of corev1.PodSpec) corev1.PodSpec {
	of.NodeSelector = map[string]string{"kubernetes.io/hostname": node}
	return of
}

// start creates a pod.
func (c *cluster) start(name string, of corev1.PodSpec, annotations map[string]string) {
	c.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}, Annotations: annotations}, Spec: of}
	if _, err := c.api.CoreV1().Pods(c.ns).Create(c.ctx(), p, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
}

// run creates a pod and waits until it is ready.
func (c *cluster) run(name string, of corev1.PodSpec, annotations map[string]string) corev1.Pod {
	c.Helper()
	c.start(name, of, annotations)
	return c.ready(name)
}

// ready waits until a pod is ready, and returns it.
func (c *cluster) ready(name string) corev1.Pod {
	c.Helper()
	var out *corev1.Pod
	c.eventually("pod "+name+" is ready", func() (err error) {
		if out, err = c.api.CoreV1().Pods(c.ns).Get(context.Background(), name, metav1.GetOptions{}); err != nil {
			return err
		}
		return isReady(*out)
	})
	return *out
}

func isReady(p corev1.Pod) error {
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
			return nil
		}
	}
	return fmt.Errorf("%s is %s on %q", p.Name, p.Status.Phase, p.Spec.NodeName)
}

// deploy creates a Deployment and waits until its pods are ready.
func (c *cluster) deploy(name string, replicas int32, of corev1.PodSpec) []corev1.Pod {
	c.Helper()
	label := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: label},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: label}, Spec: of},
	}}
	if _, err := c.api.AppsV1().Deployments(c.ns).Create(c.ctx(), d, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	return c.allReady(name, int(replicas))
}

// scale changes how many pods a Deployment has and waits until they are ready.
func (c *cluster) scale(name string, replicas int) []corev1.Pod {
	c.Helper()
	if _, err := c.kubectl("-n", c.ns, "scale", "deployment", name, fmt.Sprintf("--replicas=%d", replicas)); err != nil {
		c.Fatal(err)
	}
	return c.allReady(name, replicas)
}

// allReady waits until so many pods of an app are ready, and there are no others.
func (c *cluster) allReady(app string, want int) []corev1.Pod {
	c.Helper()
	var out []corev1.Pod
	c.eventually(fmt.Sprintf("%d pods of %s are ready", want, app), func() error {
		list, err := c.api.CoreV1().Pods(c.ns).List(context.Background(), metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			return err
		}
		out = list.Items
		if len(out) != want {
			return fmt.Errorf("there are %d", len(out))
		}
		for _, p := range out {
			if err := isReady(p); err != nil {
				return err
			}
		}
		return nil
	})
	return out
}

// delete deletes a pod and waits until it is gone.
func (c *cluster) delete(name string) {
	c.Helper()
	if _, err := c.kubectl("-n", c.ns, "delete", "pod", name, "--wait=true"); err != nil {
		c.Fatal(err)
	}
}
