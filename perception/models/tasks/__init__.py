"""Tasks beside the cascade's, one file each: module, loss, decoder and metric. To add one: its file, a line here."""

from perception.core.registry import Registry

# name -> callable(neck channels, channels of the backbone's map of stride 4) -> Task
TASKS = Registry(
    "task",
    {
        "boundary": "perception.models.tasks.boundary:Boundary",
        "depth": "perception.models.tasks.depth:Depth",
        "instances": "perception.models.tasks.instances:Instances",
        "key_points": "perception.models.tasks.key_points:KeyPoints",
        "lanes": "perception.models.tasks.lanes:Lanes",
        "reidentification": "perception.models.tasks.reidentification:Reidentification",
        "scene": "perception.models.tasks.scene:Scene",
    },
)
