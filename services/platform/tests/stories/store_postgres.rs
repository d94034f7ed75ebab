//! What only a store on a network has to promise: replicas, lost connections, servers that say nothing.
