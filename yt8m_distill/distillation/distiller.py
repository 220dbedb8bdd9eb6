"""`Distiller`: trains a see-very-little student from a see-it-all teacher."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.distillation.agreement import batch_agreement
from yt8m_distill.distillation.alignment import block_state_loss, frame_state_loss, upsampled
from yt8m_distill.distillation.distillation_config import OF_STATES, DistillationConfig
from yt8m_distill.distillation.losses import (
    PREDICTION_KL,
    feature_map_loss,
    normalized_representation_loss,
    representation_loss,
)
from yt8m_distill.models.batch_preparation import BatchPreparation
from yt8m_distill.models.ensemble import Ensemble
from yt8m_distill.models.label_losses import cross_entropy_loss
from yt8m_distill.models.nonfinite_steps import NonfiniteSteps
from yt8m_distill.models.training_step import (
    batch_metrics,
    global_num_examples,
    global_num_labelled,
    regularization_loss,
    scaled,
    sum_over_slices,
    supervised_losses,
    update,
)
from yt8m_distill.models.video_classifier import VideoClassifier
from yt8m_distill.stack import keras


class Distiller(keras.Model):
    """A teacher and a student that see the same videos: the teacher all frames, the student its budget of them.

    Serial: the teacher is frozen. Parallel: each batch updates the teacher by its own label loss and the student by the
    distillation losses, with an optimizer each. Distillation losses never reach the teacher, as in the authors' code.
    What the student learns is then the teacher's output in training: a teacher with dropout teaches with its noise.

    Source: "Efficient Video Classification Using Fewer Frames" (CVPR 2019), section 4; the authors' train.py.

    A serial teacher need not run: where the inputs hold `teacher_predictions` float32 [B, C], and `teacher_encoding`
    float32 [B, E] if `rep` needs it, the student learns from these (see `TeacherCache`).

    Args:
      teacher: model that reads all frames; or, for `serial`, an `Ensemble` of such models: its mean prediction teaches.
        A teacher with a frame budget jitters its frames where teacher and student both have `frame_jitter`, by the
        same random numbers.
      student: model with a frame budget, reading the same features and classes.
      config: scheme and losses.

    Raises:
      ValueError: the models cannot be matched as asked (different features or classes, encodings of different width
        without `project_encoding`, no intermediate states, several teachers for a loss that compares encodings or
        states), or nothing trains the student's classifier.
    """

    def __init__(
        self,
        teacher: VideoClassifier | Ensemble,
        student: VideoClassifier,
        config: DistillationConfig,
        **kwargs,
    ):
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.teacher = teacher
        self.student = student
        self.distillation_config = config
        self.projection = None
        self._check_match()
        if config.scheme == "serial":
            for model in getattr(teacher, "members", [teacher]):
                model.trainable = False
        if not config.trains_classifier and not config.share_classifier:
            _take_over_classifier(teacher, student)

    def compile(
        self,
        optimizer,
        teacher_optimizer=None,
        label_loss=cross_entropy_loss,
        regularization_penalty=1.0,
        preparation=BatchPreparation(),  # noqa: B008 - immutable
        **kwargs,
    ):
        """Prepares training.

        Args:
          optimizer: the student's.
          teacher_optimizer: the teacher's; for scheme `parallel`, and only there.
          label_loss: function (labels, predictions, label_weights) -> float32 [B], for `ce` and for a parallel teacher.
          regularization_penalty: weight of the summed L2 penalties of each model.
          preparation: gradient accumulation, and mixup and label smoothing, the same for teacher and student.
          **kwargs: `jit_compile`, `run_eagerly` and the like of `keras.Model.compile`.
        """
        if (teacher_optimizer is not None) != (self.distillation_config.scheme == "parallel"):
            raise ValueError("A teacher_optimizer belongs to the parallel scheme, and to no other.")
        super().compile(optimizer=optimizer, **kwargs)
        self.teacher_optimizer = teacher_optimizer
        self.label_loss = label_loss
        self.regularization_penalty = regularization_penalty
        self.preparation = preparation
        self.nonfinite_steps = NonfiniteSteps()

    def call(self, inputs, training=None):
        return self.student(inputs, training=training)

    def train_step(self, data):
        """One update of the student, and in scheme `parallel` of the teacher.

        Args:
          data: (inputs with `frames` and `num_frames`, labels bool [B, C]), or these with label_weights, float32 [B, C]
            of classes, or float32 [B, 1] of videos: 0 for an unlabelled one, which adds nothing to `ce` and to the
            metrics. Every loss is a mean over all videos, labelled or not.

        Returns:
          Dict of scalars that add up over replicas: `loss` (the weighted sum), `<name>_loss` of each part, `reg_loss`,
          the student's batch metrics, and `teacher_loss` in scheme `parallel`.
        """
        num_examples, num_labelled = global_num_examples(data[1]), global_num_labelled(*data[1:])

        def gradients_and_logs(examples):
            if self.teacher_optimizer is None:
                outputs, of_teacher, teacher_logs = self._outputs_of_teacher(examples.inputs, examples.mix), [], {}
            else:
                outputs, of_teacher, teacher_logs = self._teacher_gradients(examples, num_examples)
            of_student, student_logs = self._student_gradients(examples, outputs, num_examples, num_labelled)
            return of_teacher, of_student, {**student_logs, **teacher_logs}

        slices = self.preparation.slices(self._with_shared_jitter(data), self.optimizer.iterations)
        of_teacher, of_student, logs = sum_over_slices(gradients_and_logs, slices)
        if self.teacher_optimizer is not None:
            variables, loss = self.teacher.trainable_variables, logs["teacher_loss"]
            update(self.teacher_optimizer, of_teacher, variables, loss, self.nonfinite_steps)
        update(self.optimizer, of_student, self.student_variables(), logs["loss"], self.nonfinite_steps)
        return logs

    def test_step(self, data):
        """The student's losses against the teacher on one batch, without an update: `loss` and `<name>_loss`."""
        inputs, labels, label_weights = keras.utils.unpack_x_y_sample_weight(data)
        num_examples = global_num_examples(labels)
        teacher_outputs = self._outputs_of_teacher(inputs)
        outputs = self.student.encode_and_classify(inputs, training=False)
        parts = self._matching_losses(teacher_outputs, outputs, labels, label_weights, num_examples)
        total = tf.add_n([self.distillation_config.weight(name) * part for name, part in parts.items()])
        return {"loss": total, **{f"{name}_loss": part for name, part in parts.items()}}

    def _outputs_of_teacher(self, inputs, mix=None):
        """What the teacher says as it is now, or said when it was cached; nothing if no loss asks."""
        if not self.distillation_config.needs_teacher:
            return {}
        if "teacher_predictions" in inputs:
            cached = {name: inputs.get(f"teacher_{name}") for name in ("predictions", "encoding")}
            return {name: value for name, value in cached.items() if value is not None}
        return self.teacher.encode_and_classify(inputs, training=False, mix=mix)

    def _with_shared_jitter(self, data):
        """Gives teacher and student the same random numbers to draw their frames by, where both jitter them."""
        samplers = self.teacher.sampler, self.student.sampler
        if not all(sampler is not None and sampler.jitter for sampler in samplers) or "num_frames" not in data[0]:
            return data
        shape = tf.shape(data[0]["num_frames"])
        seeds = tf.random.uniform(shape, maxval=2**31 - 1, dtype=tf.int64)
        return ({**data[0], "frame_seeds": seeds}, *data[1:])

    def _teacher_gradients(self, examples, num_examples):
        """Outputs and gradients of a parallel teacher, and its part of the log."""
        with tf.GradientTape() as tape:
            outputs = self.teacher.encode_and_classify(examples.inputs, training=True, mix=examples.mix)
            losses = supervised_losses(
                self.teacher, self.label_loss, examples.targets, outputs, examples.target_weights
            )
            label_loss = tf.reduce_sum(losses) / num_examples
            penalty = self.regularization_penalty * regularization_loss(self.teacher, self.preparation.num_slices)
            loss = scaled(self.teacher_optimizer, label_loss + penalty)
        return outputs, tape.gradient(loss, self.teacher.trainable_variables), {"teacher_loss": label_loss}

    def _student_gradients(self, examples, teacher_outputs, num_examples, num_labelled):
        targets = {name: tf.stop_gradient(value) for name, value in teacher_outputs.items()}
        trains_classifier = self.distillation_config.trains_classifier  # otherwise it is the teacher's, statistics too
        with tf.GradientTape() as tape:
            outputs = self.student.encode_and_classify(
                examples.inputs, training=True, mix=examples.mix, trains_classifier=trains_classifier
            )
            parts = self._matching_losses(targets, outputs, examples.targets, examples.target_weights, num_examples)
            distillation_loss = tf.add_n([self.distillation_config.weight(name) * part for name, part in parts.items()])
            penalty = self.regularization_penalty * regularization_loss(self.student, self.preparation.num_slices)
            loss = scaled(self.optimizer, distillation_loss + penalty)
        step = self.optimizer.iterations
        metrics = batch_metrics(step, examples.labels, outputs["predictions"], num_labelled, examples.label_weights)
        agreement = {}
        if self.distillation_config.needs_teacher:
            agreement = batch_agreement(step, targets["predictions"], outputs["predictions"], num_examples)
        part_logs = {f"{name}_loss": part for name, part in parts.items()}
        logs = {"loss": distillation_loss, "reg_loss": penalty, **part_logs, **metrics, **agreement}
        return tape.gradient(loss, self.student_variables()), logs

    def _matching_losses(self, targets, outputs, labels, label_weights, num_examples) -> dict:
        config = self.distillation_config

        def per_example(name):
            if name == "rep":
                encoding = outputs["encoding"]
                if self.projection is not None:
                    encoding = self.projection(encoding)
                loss = normalized_representation_loss if config.normalize_rep else representation_loss
                return loss(targets["encoding"], encoding)
            if name == "pred":
                divergence = PREDICTION_KL[config.prediction_kl]
                kl = divergence(targets["predictions"], outputs["predictions"], config.temperature)
                return kl * num_examples if config.pred_reduction == "sum" else kl
            if name == "ce":
                return supervised_losses(self.student, self.label_loss, labels, outputs, label_weights)
            if name == "map":
                states, is_valid = upsampled(outputs["frame_states"], outputs, targets)
                return feature_map_loss(targets["frame_states"], states, is_valid)
            if name == "frame":
                return self._frame_prediction_loss(targets, outputs)
            return self._intermediate_loss(targets, outputs)

        return {name: tf.reduce_sum(per_example(name)) / num_examples for name in config.losses}

    def _frame_prediction_loss(self, targets, outputs):
        """The divergence of what the classifiers say of each frame's state, averaged over the teacher's frames
        from the first on that the student has read."""
        of_teacher = tf.stop_gradient(self.teacher.classify(targets["frame_states"]))  # [B, T, C]
        of_student, is_valid = upsampled(self.student.classify(outputs["frame_states"]), outputs, targets)
        divergence = PREDICTION_KL[self.distillation_config.prediction_kl]
        kl = divergence(of_teacher, of_student, self.distillation_config.temperature)  # [B, T]
        is_valid = tf.cast(is_valid, tf.float32)
        return tf.math.divide_no_nan(tf.reduce_sum(kl * is_valid, axis=-1), tf.reduce_sum(is_valid, axis=-1))

    def _intermediate_loss(self, targets, outputs):
        alignment = self.distillation_config.intermediate_alignment
        total = 0.0
        if alignment in ("frame", "both"):
            total += frame_state_loss(targets, outputs)
        if alignment in ("block", "both"):
            lengths = self.teacher.encoder.block_length, self.student.encoder.block_length
            total += block_state_loss(targets, outputs, *lengths)
        return total

    def student_variables(self):
        """The variables that the student's optimizer updates."""
        trained = self.student if self.distillation_config.trains_classifier else self.student.encoder
        variables = list(trained.trainable_variables)
        if self.projection is not None:
            variables += self.projection.trainable_variables
        return variables

    def _check_match(self):
        config, teacher, student = self.distillation_config, self.teacher, self.student
        is_shared = student.classifier is getattr(teacher, "classifier", None)
        if is_shared != config.share_classifier:
            raise ValueError(
                f"share_classifier={config.share_classifier}, but teacher and student were built with "
                f"{'one classifier' if is_shared else 'two classifiers'}. Build the student with "
                "`model_config.build(teacher.classifier)` to share it, with `model_config.build()` otherwise."
            )
        for name in ("feature_names", "feature_sizes", "num_classes", "max_frames", "frame_features"):
            of_teacher, of_student = getattr(teacher.schema, name), getattr(student.schema, name)
            if of_teacher != of_student:
                raise ValueError(
                    f"Teacher and student must agree on {name}. Received: teacher {of_teacher}, student {of_student}."
                )
        inputs = student.model_config.whole_video_inputs()
        of_teacher = teacher.encode_and_classify(inputs, training=False)
        of_student = student.encode_and_classify(inputs, training=False)
        if "rep" in config.losses:
            _check_several("rep", of_teacher)
            self._project_encodings(of_teacher["encoding"].shape[-1], of_student["encoding"].shape[-1])
        for loss in OF_STATES:
            if loss in config.losses:
                _check_several(loss, of_teacher)
                alignment = config.intermediate_alignment if loss == "int" else "frame"
                _check_states(loss, alignment, of_teacher, of_student)
        if "int" in config.losses:
            _check_matches_frames(teacher, student)

    def _project_encodings(self, of_teacher, of_student):
        """Makes the map between encodings of two widths; ValueError where there is to be none."""
        if of_teacher == of_student:
            return
        if not self.distillation_config.project_encoding:
            raise ValueError(
                f"Loss 'rep' compares encodings of one width. Received: teacher {of_teacher}, student {of_student}. "
                "Use --project_encoding to learn a linear map between them, or leave 'rep' out of "
                "--distillation_losses."
            )
        self.projection = keras.layers.Dense(of_teacher, name="projection", dtype="float32")
        self.projection.build([None, of_student])


def _take_over_classifier(teacher, student):
    shapes = [[tuple(weight.shape) for weight in model.classifier.weights] for model in (teacher, student)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "Without 'pred' or 'ce' the student's classifier needs the teacher's weights, but the shapes differ: "
            f"teacher {shapes[0]}, student {shapes[1]}."
        )
    student.classifier.set_weights(teacher.classifier.get_weights())


def _check_several(loss, of_teacher):
    if "encoding" not in of_teacher:
        raise ValueError(
            f"Loss {loss!r} compares encodings or states, which several teachers do not have in common. Give one "
            f"teacher, or leave {loss!r} out of --distillation_losses."
        )


def _check_matches_frames(teacher, student):
    """What loss 'int' compares is the state of both after the same frame."""
    if teacher.sampler is not None or teacher.low_resolution is not None:
        raise ValueError(
            "Loss 'int' needs a teacher that reads all frames, as they are; this one has a frame budget or a lower "
            "resolution."
        )
    if student.low_resolution is not None and student.low_resolution.frame_pooling > 1:
        raise ValueError(
            "Loss 'int' needs a student that reads frames one by one; this one reads the means of "
            f"frame_pooling={student.low_resolution.frame_pooling}. Loss 'map' compares states over time."
        )


def _check_states(loss, alignment, of_teacher, of_student):
    for kind in ("frame", "block") if alignment == "both" else (alignment,):
        key = f"{kind}_states"
        for role, outputs in (("teacher", of_teacher), ("student", of_student)):
            if key not in outputs:
                raise ValueError(f"Loss {loss!r} cannot match {kind} states: the {role} has none. Leave {loss!r} out.")
            if loss == "frame" and outputs[key].shape[-1] != outputs["encoding"].shape[-1]:
                raise ValueError(
                    "Loss 'frame' classifies the state after each frame as if it were the encoding, which in the "
                    f"{role} has another width: {outputs[key].shape[-1]}, not {outputs['encoding'].shape[-1]}. "
                    "LstmModel and GruModel have one; leave 'frame' out with others."
                )
        widths = of_teacher[key].shape[-1], of_student[key].shape[-1]
        if widths[0] != widths[1] and loss != "frame":
            raise ValueError(f"Loss {loss!r} needs {kind} states of one width. Received: teacher, student = {widths}.")
