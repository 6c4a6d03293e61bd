package client

import utiljson "k8s.io/apimachinery/pkg/util/json"

// runtimeJSON decodes with whole numbers as int64, which is what unstructured objects hold.
func runtimeJSON(data []byte, into *map[string]any) error { return utiljson.Unmarshal(data, into) }
