"""What meshes are put together from: wheels, bodies, limbs, leaves, walls."""
