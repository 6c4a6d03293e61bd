package config_test

import (
	"testing"

	"skiff/daemon/config"
	"skiff/orchestrator/cluster/nodelife"
)

// TestNodeDefaults: help shows the periods that apply when nothing is given.
func TestNodeDefaults(t *testing.T) {
	if config.NodeGracePeriod != nodelife.DefaultGracePeriod || config.NodeEvictionRate != nodelife.DefaultEvictionRate {
		t.Errorf("%s and %g, want %s and %g", config.NodeGracePeriod, config.NodeEvictionRate, nodelife.DefaultGracePeriod, nodelife.DefaultEvictionRate)
	}
}
